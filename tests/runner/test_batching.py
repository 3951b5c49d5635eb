"""Tiles: every run once, with those it may train with, no more at once than memory holds."""

from pathlib import Path

import pytest

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer, split
from rasched.runner.batching import NETWORKS, RECORDS, cut
from rasched.runner.run_spec import RunSpec, make_run_specs, validate_run_specs
from rasched.train.batching import MAX_RUNS_PER_BATCH


def _plans(*lines: str) -> list[RunSpec]:
    composer = Composer.open()
    own, jobs = split(composer, lines)
    plans = make_run_specs(list(JobComposer(composer, own).all(jobs)))
    validate_run_specs(plans)
    return plans


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_run_is_in_one_tile_with_its_like(processes: int) -> None:
    plans = _plans("rule=kelly,trend", "optimizer=sgd,adam,asgd", "seed=range(0,40)", "steps=10")
    tiles, used = cut(plans, processes)
    assert sorted(id(plan) for tile in tiles for plan in tile.plans) == sorted(map(id, plans))
    assert used == processes
    for tile in tiles:
        assert len({plan.settings.optimizer.name for plan in tile.plans}) == 1
        alone = tile.plans[0].settings.optimizer.name == "asgd"
        assert (len(tile.plans) == 1 and tile.alone is not None) if alone else tile.alone is None
        assert all(plan.stacked is not alone for plan in tile.plans)
    assert len(tiles) == 80 + 2 * (1 if processes == 1 else -(-80 // (32 * -(-80 // (32 * processes)))))


def test_a_run_alone_in_its_batch_is_still_stacked() -> None:
    (tile,), _ = cut(_plans("seed=3"), 1)
    assert tile.plans[0].stacked and tile.alone is None
    (tile,), _ = cut(_plans("seed=3"), 1, stacked=False)
    assert not tile.plans[0].stacked


def test_long_runs_wait_in_smaller_tiles() -> None:
    short, _ = cut(_plans("seed=range(0,1500)", "steps=1000"), 1)
    assert [len(tile.plans) for tile in short] == [MAX_RUNS_PER_BATCH, 1500 - MAX_RUNS_PER_BATCH]
    long, _ = cut(_plans("seed=range(0,40)", "steps=200000"), 1)
    largest = max(len(tile.plans) for tile in long)
    assert largest < 40 and largest * 200_000 * 8 * 7 < RECORDS  # seven columns of a bandit
    networks, _ = cut(_plans("seed=range(0,300)", "env=gym", "agent=ppo", "steps=50000"), 1)
    assert max(len(tile.plans) for tile in networks) == NETWORKS


def test_little_work_is_done_in_one_process_and_much_in_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasched.runner.cost.cores", lambda: 4)
    assert cut(_plans("seed=range(0,40)", "steps=1000"), None)[1] == 1
    tiles, processes = cut(_plans("seed=range(0,400)", "steps=300000"), None)
    assert processes == 4
    assert len(tiles) >= 4 and all(plan.folder == Path(plan.folder.name) for tile in tiles for plan in tile.plans)
