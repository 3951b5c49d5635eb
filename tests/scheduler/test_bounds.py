"""Bounds and base rates are checked group by group before anything is written; constructing writes nothing."""

from math import nan
from typing import Any

import pytest
import torch
from optimizers import lrs, sgd
from torch.optim.lr_scheduler import LRScheduler

from rasched import RewardAdaptiveScheduler


def reach(scheduler: RewardAdaptiveScheduler) -> tuple[list[float], list[float]]:
    """The lowest and the highest rates that the `scaling` rule can be driven to."""
    scheduler.observe(-1e12)
    lowest = scheduler.get_lr()
    scheduler.observe(1e12)
    return lowest, scheduler.get_lr()


def test_no_bounds_mean_a_hundredth_and_a_hundredfold_of_each_base() -> None:
    lowest, highest = reach(RewardAdaptiveScheduler(sgd(0.1, 0.02), "scaling"))
    assert lowest == pytest.approx([0.001, 0.0002])
    assert highest == pytest.approx([10.0, 2.0])


def test_one_bound_leaves_the_other_relative() -> None:
    assert reach(RewardAdaptiveScheduler(sgd(0.1), "scaling", min_lr=0.05)) == ([0.05], pytest.approx([10.0]))
    assert reach(RewardAdaptiveScheduler(sgd(0.1), "scaling", max_lr=0.5)) == (pytest.approx([0.001]), [0.5])


@pytest.mark.parametrize("kind", (list, tuple))
def test_bounds_may_be_one_a_group(kind: type) -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1, 0.2), "scaling", min_lr=kind((0.01, 0.1)), max_lr=kind((1.0, 4.0)))
    assert reach(scheduler) == ([0.01, 0.1], [1.0, 4.0])


def test_an_integer_bound_is_a_bound() -> None:
    assert reach(RewardAdaptiveScheduler(sgd(0.1), "scaling", max_lr=1))[1] == [1.0]


def test_a_base_rate_on_a_bound_is_inside() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1), "scaling", min_lr=0.1, max_lr=0.2)
    assert reach(scheduler) == ([0.1], [0.2])


@pytest.mark.parametrize(
    "bounds",
    [
        {"min_lr": 0.0},
        {"min_lr": -0.1},
        {"min_lr": nan},
        {"max_lr": nan},
        {"max_lr": -1.0},
        {"min_lr": 0.1, "max_lr": 0.1},
        {"min_lr": 0.2, "max_lr": 0.05},
        {"min_lr": [0.01]},
        {"max_lr": [1.0, 1.0, 1.0]},
        {"min_lr": [0.01, 0.0]},
        {"min_lr": [0.01, 0.1], "max_lr": [1.0, 0.1]},
    ],
)
def test_wrong_bounds_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bounds))):
        RewardAdaptiveScheduler(sgd(0.1, 0.1), **bounds)


@pytest.mark.parametrize(("base", "bounds"), [(0.5, ("0.001", "0.25")), (0.0005, ("0.001", "0.25"))])
def test_a_base_rate_outside_the_bounds_names_group_value_and_bounds(base: float, bounds: tuple[str, str]) -> None:
    optimizer = sgd(0.1, base)
    with pytest.raises(ValueError, match=r"\b1\b") as error:
        RewardAdaptiveScheduler(optimizer, min_lr=0.001, max_lr=0.25)
    assert str(base) in str(error.value)
    assert all(bound in str(error.value) for bound in bounds)
    assert lrs(optimizer) == [0.1, base]


@pytest.mark.parametrize("bounds", [{}, {"min_lr": 0.001, "max_lr": 0.25}])
def test_a_base_rate_that_is_not_positive_is_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"\b1\b.*\b0\.0\b|\b0\.0\b.*\b1\b"):
        RewardAdaptiveScheduler(sgd(0.1, 0.0), **bounds)


def test_the_base_rate_is_initial_lr_where_present() -> None:
    optimizer = sgd(0.1)
    optimizer.param_groups[0]["initial_lr"] = 0.4
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling")
    scheduler.observe(0.5)
    assert scheduler.get_lr() == pytest.approx([0.6])


def test_the_base_rate_is_left_in_the_group_as_torch_does() -> None:
    optimizer = sgd(0.1, 0.2)
    scheduler = RewardAdaptiveScheduler(optimizer)
    scheduler.observe(1.0)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    assert list(scheduler.base_lrs) == [0.1, 0.2]


@pytest.mark.parametrize("optimizer", [None, [torch.zeros(1)], torch.nn.Linear(1, 1)])
def test_only_an_optimizer_is_an_optimizer(optimizer: Any) -> None:
    with pytest.raises(TypeError, match="[Oo]ptimizer"):
        RewardAdaptiveScheduler(optimizer)


def test_constructing_writes_nothing_and_does_not_wrap_the_optimizers_step() -> None:
    optimizer = sgd(0.1, 0.2, momentum=0.9)
    before = [dict(group) for group in optimizer.param_groups]
    scheduler = RewardAdaptiveScheduler(optimizer, adapt_momentum=True, rule="variance")
    after = [{k: v for k, v in group.items() if k != "initial_lr"} for group in optimizer.param_groups]
    assert after == before
    assert "step" not in vars(optimizer)
    assert isinstance(scheduler, LRScheduler)
    assert scheduler.optimizer is optimizer


def test_an_optimizer_whose_step_was_replaced_is_accepted() -> None:
    optimizer = sgd(0.1)
    optimizer.step = lambda closure=None: None  # type: ignore[method-assign, assignment]
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling")
    optimizer.step()
    scheduler.step()
    scheduler.observe(1.0)
    assert lrs(optimizer) == pytest.approx([0.2])


@pytest.mark.parametrize(
    "wrong",
    [{"max_lr": 0.15}, {"min_lr": [0.01]}, {"adapt_momentum": True}, {"rule": "kely"}, {"kelly_gain": 2.0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_refused_construction_leaves_the_optimizer_as_it_was(wrong: dict[str, Any]) -> None:
    """Were `initial_lr` left behind, correcting the rate would not help."""
    optimizer = sgd(0.1, torch.tensor(0.2))
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError):
        RewardAdaptiveScheduler(optimizer, **wrong)
    assert [dict(group) for group in optimizer.param_groups] == before
