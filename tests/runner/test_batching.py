"""Batches: every run once, with those it may train with, and no more at once than memory holds."""

from pathlib import Path

import pytest

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer, expand_overrides
from rasched.runner.batching import MAX_NETWORKS_PER_BATCH, MAX_ROW_BYTES, make_batches, validate_and_batch
from rasched.runner.run_spec import Batch, RunSpec, make_run_specs, validate
from rasched.train.batching import MAX_RUNS_PER_BATCH


def _specs(*lines: str) -> list[RunSpec]:
    composer = Composer.open()
    hydra_overrides, jobs = expand_overrides(composer, lines)
    specs = make_run_specs(list(JobComposer(composer, hydra_overrides).compose_all(jobs)))
    validate(specs)
    return specs


def _sizes(batches: list[Batch]) -> list[int]:
    return [len(batch.specs) for batch in batches]


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_every_run_is_in_one_batch_with_its_like(num_workers: int) -> None:
    specs = _specs("rule=kelly,trend", "optimizer=sgd,adam,asgd", "seed=range(0,40)", "steps=10")
    batches, used = make_batches(specs, num_workers)
    assert sorted(spec.job.num for batch in batches for spec in batch.specs) == list(range(len(specs)))
    assert used == num_workers
    for batch in batches:
        assert len({spec.settings.optimizer.name for spec in batch.specs}) == 1
        alone = batch.specs[0].settings.optimizer.name == "asgd"
        reason = batch.unbatchable_reason
        assert (len(batch.specs) == 1 and reason is not None) if alone else reason is None
        assert all(spec.batched is not alone for spec in batch.specs)
    assert len(batches) == 80 + 2 * (1 if num_workers == 1 else -(-80 // (32 * -(-80 // (32 * num_workers)))))


def test_indices_for_another_process_name_the_same_batches() -> None:
    specs = _specs("rule=kelly,trend", "optimizer=sgd,asgd", "seed=range(0,3)", "steps=10")
    batches, used = make_batches(specs, 2)
    indices, workers = validate_and_batch(specs, 2)
    assert workers == used
    rebuilt = [Batch.of([specs[index] for index in batch], reason) for batch, reason in indices]
    for batch, other in zip(batches, rebuilt, strict=True):
        assert batch.unbatchable_reason == other.unbatchable_reason
        assert [(s.job, s.batched) for s in batch.specs] == [(s.job, s.batched) for s in other.specs]


def test_a_run_alone_in_its_batch_is_still_batched() -> None:
    (batch,), _ = make_batches(_specs("seed=3"), 1)
    assert batch.specs[0].batched and batch.unbatchable_reason is None
    (batch,), _ = make_batches(_specs("seed=3"), 1, batched=False)
    assert not batch.specs[0].batched


def test_making_batches_changes_no_run() -> None:
    specs = _specs("seed=0,1")
    make_batches(specs, 1)
    assert not any(spec.batched for spec in specs)


def test_long_runs_wait_in_smaller_batches() -> None:
    short, _ = make_batches(_specs("seed=range(0,1500)", "steps=1000"), 1)
    assert _sizes(short) == [
        MAX_RUNS_PER_BATCH,
        1500 - MAX_RUNS_PER_BATCH,
    ]
    largest = max(_sizes(make_batches(_specs("seed=range(0,40)", "steps=200000"), 1)[0]))
    assert largest < 40 and largest * 200_000 * 8 * 7 < MAX_ROW_BYTES  # seven columns of a bandit
    networks, _ = make_batches(_specs("seed=range(0,300)", "env=gym", "agent=ppo", "steps=50000"), 1)
    assert max(_sizes(networks)) == MAX_NETWORKS_PER_BATCH


def test_little_work_is_done_in_one_process_and_much_in_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasched.runner.batching.num_cores", lambda: 4)
    assert make_batches(_specs("seed=range(0,40)", "steps=1000"), None)[1] == 1
    batches, num_workers = make_batches(_specs("seed=range(0,400)", "steps=300000"), None)
    assert num_workers == 4
    assert len(batches) >= 4
    assert all(spec.folder == Path(spec.folder.name) for batch in batches for spec in batch.specs)
