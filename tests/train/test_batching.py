"""Laws of batching: what differs freely, what parts runs, what runs alone."""

from __future__ import annotations

from rasched.envs import BernoulliBanditSettings
from rasched.train.batching import group_into_batches, unbatchable_reason
from rasched.train.settings import SchedulerSettings, SignalSettings
from tests.run_factories import mixed, run_settings


def test_rules_rates_bounds_and_seeds_share_a_batch() -> None:
    runs = [*mixed(20), run_settings(scheduler=SchedulerSettings(min_lr=0.01, max_lr=0.2))]
    assert group_into_batches(runs) == [list(range(21))]


def test_what_shapes_a_run_parts_batches_and_keeps_the_order() -> None:
    runs = [
        run_settings(seed=0),
        run_settings(seed=1, env=BernoulliBanditSettings()),
        run_settings(seed=2, steps=61),
        run_settings(seed=3, signal=SignalSettings()),
        run_settings(seed=4, options={"weight_decay": 0.1}),
        run_settings(seed=5, optimizer="adam"),
        run_settings(seed=6),
    ]
    assert group_into_batches(runs) == [[0, 6], [1], [2], [3], [4], [5]]


def test_a_batch_is_never_longer_than_a_tile() -> None:
    assert group_into_batches(mixed(7), max_runs=3) == [[0, 1, 2], [3, 4, 5], [6]]


def test_runs_that_cannot_share_say_why() -> None:
    momentum = run_settings(options={"momentum": 0.9}, scheduler=SchedulerSettings(adapt_momentum=True))
    rprop = run_settings(optimizer="rprop")
    assert unbatchable_reason(run_settings()) is None
    assert "adapt_momentum" in (unbatchable_reason(momentum) or "")
    assert "rprop" in (unbatchable_reason(rprop) or "")
    assert group_into_batches([momentum, rprop, momentum]) == [[0], [1], [2]]
