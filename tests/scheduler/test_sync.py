"""Two processes average, skip or raise together and compute the same rate; without an exchange they are warned."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import reference
import torch.distributed as dist
from distributed_workers import REWARDS, SETTINGS, UNREADABLE, work
from optimizers import sgd

from rasched import RewardAdaptiveScheduler

Reports = list[dict[str, Any]]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """The reports of two ranks; if a rank waits for the other for ever, it is killed and the test fails."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLOO_SOCKET_IFNAME", "lo")
        patch.setenv("OMP_NUM_THREADS", "1")
        spawn = multiprocessing.get_context("spawn")
        ranks = [spawn.Process(target=work, args=(rank, str(folder)), daemon=True) for rank in range(2)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(timeout=120)
    codes = [rank.exitcode for rank in ranks]
    for rank in ranks:
        if rank.is_alive():
            rank.kill()
    assert codes == [0, 0]
    return [json.loads(Path(folder, f"rank{rank}.json").read_text()) for rank in range(2)]


def expected(rewards: list[float | None]) -> list[list[float]]:
    """The rates of one process that observes these; None leaves them."""
    history = reference.signals([r for r in rewards if r is not None], **SETTINGS)
    groups = [[base, *reference.rates("kelly", history, base, base / 100, base * 100)] for base in (0.1, 0.3)]
    num_observed = [sum(r is not None for r in rewards[: t + 1]) for t in range(len(rewards))]
    return [[group[n] for group in groups] for n in num_observed]


def assert_same(reports: Reports, case: str, rewards: list[float | None]) -> None:
    assert reports[0][case]["trace"] == reports[1][case]["trace"]
    assert reports[0][case]["trace"] == [pytest.approx(rates, rel=1e-12) for rates in expected(rewards)]


@pytest.mark.parametrize("case", ["default group", "given group"])
def test_ranks_average_and_compute_the_same_rate(reports: Reports, case: str) -> None:
    assert_same(reports, case, [(a + b) / 2 for a, b in REWARDS["both"]])


def test_a_rank_without_a_reward_enters_too_and_the_others_are_averaged(reports: Reports) -> None:
    assert_same(reports, "absent", [0.375, 0.5, 1.0, None, 0.5])


def test_a_broken_reward_on_one_rank_raises_on_all_and_moves_nothing(reports: Reports) -> None:
    assert_same(reports, "raise", [0.375, None, None, None, None, 0.75])
    for report in reports:
        assert report["raise"]["raised"] == [1, 2, 3, 4]
        assert report["raise"]["moved"] == [False] * 4


def test_a_broken_reward_on_one_rank_is_skipped_on_all(reports: Reports) -> None:
    assert_same(reports, "skip", [0.375, None, None, None, None, 0.75])
    assert [report["skip"]["skipped"] for report in reports] == [4, 4]


def test_several_elements_on_one_rank_leave_no_rank_waiting_and_all_alike(reports: Reports) -> None:
    assert_same(reports, "several", [0.375, None, 0.75])
    assert all(report["several"]["raised"] == [1] for report in reports)


def test_an_unreadable_reward_on_one_rank_leaves_no_rank_waiting_and_all_alike(reports: Reports) -> None:
    assert_same(reports, "unreadable", [0.375, *[None] * len(UNREADABLE), 0.75])
    for report in reports:
        assert report["unreadable"]["raised"] == list(range(1, len(UNREADABLE) + 1))
        assert not any(report["unreadable"]["moved"])
        skipping = report["unreadable, skipping"]  # the first is an int beyond the range of a float, which is infinite
        assert (skipping["raised"], skipping["skipped"]) == (list(range(2, len(UNREADABLE) + 1)), 1)


def test_extra_signals_are_averaged_over_the_ranks_that_have_one(reports: Reports) -> None:
    for report in reports:
        assert report["extra signals"]["trace"] == pytest.approx([0.2, 0.3, 0.3, 0.3, 0.3])
        assert report["extra signals"]["raised"] == [3, 4]


def test_every_observation_is_one_collective(reports: Reports) -> None:
    assert [report["collectives"] for report in reports] == [[1, 1, 1, 1]] * 2


def test_without_an_exchange_each_rank_is_warned_once(reports: Reports) -> None:
    for report in reports:
        assert report["drift"]["at_construction"] == 0
        (message,) = report["drift"]["messages"]
        assert "rank" in message and "sync=True" in message


def test_a_group_of_one_rank_waits_for_no_other(reports: Reports) -> None:
    assert reports[0]["alone"]["trace"] == [
        pytest.approx(r, rel=1e-12) for r in expected([a for a, _ in REWARDS["both"]])
    ]


def test_without_a_process_group_sync_changes_nothing() -> None:
    ours, theirs = RewardAdaptiveScheduler(sgd(0.1), sync=True), RewardAdaptiveScheduler(sgd(0.1))
    for reward in (0.5, None, -0.25):
        ours.observe(reward)
        theirs.observe(reward)
    assert ours.get_lr() == theirs.get_lr()


def test_the_process_group_is_looked_at_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(dist, "is_initialized", lambda: bool(looks.append(1)))
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    for _ in range(1000):
        scheduler.observe(0.25)
    assert 0 < len(looks) <= 50
