"""The benchmark measures what it says: every contender in every case, and calls that do their work."""

from __future__ import annotations

from rasched.cli import bench_observe as observe


def test_every_case_has_all_contenders_and_its_own_ratio() -> None:
    costs = observe.measure(rounds=1)
    assert len(costs) == 4 * len(observe.CASES)
    ours = [cost for cost in costs if cost.scheduler.startswith("observe")]
    assert [cost.case for cost in ours] == [case.name for case in observe.CASES]
    assert all(cost.observe_ratio == 1 for cost in ours)
    assert all(cost.nanoseconds > 50 for cost in costs)


def test_the_calls_that_are_timed_move_the_rate() -> None:
    for case in observe.CASES:
        optimizer = observe._optimizer(case)
        scheduler = observe.RewardAdaptiveScheduler(optimizer, "kelly", ema_reward_beta=0.9)
        scheduler.observe(observe.REWARDS[0])
        assert len(optimizer.param_groups) == case.groups
        assert all(float(group["lr"]) > 0.1 for group in optimizer.param_groups)
