"""If another writer changed a rate, the scheduler's own wins and it warns once; `none` lets others write."""

import json
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from optimizers import lrs, sgd, snapshot
from torch.optim import SGD
from torch.optim.lr_scheduler import ExponentialLR

from rasched import RewardAdaptiveScheduler


def assign(optimizer: SGD, value: float) -> None:
    optimizer.param_groups[1]["lr"] = value


def fill(optimizer: SGD, value: float) -> None:
    optimizer.param_groups[1]["lr"].fill_(value)


def replace(optimizer: SGD, value: float) -> None:
    optimizer.param_groups[1]["lr"] = torch.tensor(value)


WRITERS: list[tuple[bool, Callable[[SGD, float], None]]] = [
    (False, assign),
    (False, replace),
    (True, fill),
    (True, replace),
    (True, assign),
]


def pair(tensor: bool, **settings: Any) -> tuple[SGD, RewardAdaptiveScheduler]:
    optimizer = sgd(*(torch.tensor(r) if tensor else r for r in (0.25, 0.5)))
    return optimizer, RewardAdaptiveScheduler(optimizer, "scaling", **settings)


@pytest.mark.parametrize(("tensor", "write"), WRITERS)
def test_its_own_value_wins_and_one_warning_names_group_and_both_values(
    tensor: bool, write: Callable[..., None]
) -> None:
    optimizer, scheduler = pair(tensor)
    scheduler.observe(0.5)
    assert lrs(optimizer) == [0.375, 0.75]
    write(optimizer, 0.125)
    with pytest.warns(UserWarning, match=r"\b1\b") as caught:
        scheduler.observe(1.0)
    assert len(caught) == 1
    assert all(value in str(caught[0].message) for value in ("0.125", "0.75"))
    assert lrs(optimizer) == [0.5, 1.0]
    write(optimizer, 0.0625)
    scheduler.observe(0.5)  # warned once: no second warning, and warnings are errors here
    assert lrs(optimizer) == [0.375, 0.75]


@pytest.mark.parametrize("rule", ["kelly", "trend"])
def test_a_multiplying_rule_goes_on_from_its_own_rate(rule: str) -> None:
    scheduler, control = (RewardAdaptiveScheduler(sgd(0.1), rule) for _ in range(2))
    for t, reward in enumerate((0.5, 0.25, 1.0)):
        scheduler.optimizer.param_groups[0]["lr"] = 0.7 if t else 0.1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.observe(reward)
        control.observe(reward)
    assert scheduler.get_lr() == lrs(scheduler.optimizer) == control.get_lr()


@pytest.mark.parametrize(("tensor", "write"), WRITERS)
def test_a_missing_reward_leaves_the_other_writers_value(tensor: bool, write: Callable[..., None]) -> None:
    optimizer, scheduler = pair(tensor)
    scheduler.observe(0.5)
    write(optimizer, 0.125)
    scheduler.observe(None)
    assert lrs(optimizer) == [0.375, 0.125]


@pytest.mark.parametrize("tensor", [False, True])
def test_without_another_writer_there_is_no_warning(tensor: bool) -> None:
    optimizer, scheduler = pair(tensor, normalize="center")
    for reward in (0.1, 0.2, 0.3, 0.3, 0.7):
        optimizer.step()
        scheduler.observe(reward)
        scheduler.step()
        scheduler.load_state_dict(scheduler.state_dict())


@pytest.mark.parametrize("tensor", [False, True])
def test_none_lets_others_write(tensor: bool) -> None:
    optimizer = sgd(torch.tensor(0.25) if tensor else 0.25)
    rate = optimizer.param_groups[0]["lr"]
    scheduler = RewardAdaptiveScheduler(optimizer, "none")
    decay = ExponentialLR(optimizer, gamma=0.5)
    for t in range(1, 4):
        scheduler.observe(1.0)
        optimizer.step()
        decay.step()
        scheduler.observe(-1.0)
        assert lrs(optimizer) == scheduler.get_lr() == scheduler.get_last_lr() == [0.25 * 0.5**t]
    assert not tensor or optimizer.param_groups[0]["lr"] is rate
    scheduler.load_state_dict(scheduler.state_dict())
    assert lrs(optimizer) == [0.25 * 0.5**3]


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("rule", ["kelly", "trend", "variance"])
def test_where_warnings_are_errors_the_exception_leaves_everything_as_it_was(rule: str, tensor: bool) -> None:
    optimizer, control = (sgd(*(torch.tensor(r) if tensor else r for r in (0.25, 0.5)), momentum=0.9) for _ in range(2))
    settings: dict[str, Any] = {"normalize": "center", "ema_reward_beta": 0.5, "adapt_momentum": True}
    scheduler, other = (RewardAdaptiveScheduler(o, rule, **settings) for o in (optimizer, control))
    for each in (scheduler, other):
        each.observe(0.5)
        each.observe(0.25)
    assign(optimizer, 0.125)
    before = snapshot(scheduler)
    with pytest.raises(UserWarning, match="0.125"):
        scheduler.observe(1.0)
    assert snapshot(scheduler) == before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler.observe(1.0)
    other.observe(1.0)
    assert scheduler.get_lr() == other.get_lr()


def test_a_state_from_before_the_first_observation_loads_without_a_warning_of_another_writer() -> None:
    """Rates that the scheduler wrote after the state was saved are not another writer's."""
    optimizer, scheduler = pair(tensor=False)
    state = json.dumps(scheduler.state_dict())
    for _ in range(2):
        scheduler.load_state_dict(json.loads(state))
        assert lrs(optimizer) == [0.25, 0.5]
        scheduler.observe(1.0)  # warnings are errors here
        assert lrs(optimizer) == [0.5, 1.0]


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("order", ["optimizer first", "scheduler first", "scheduler only"])
def test_another_writers_rate_is_restored_whichever_state_is_loaded_first(tensor: bool, order: str) -> None:
    """Otherwise the next optimizer step would use another rate than in training without a break."""
    optimizer, scheduler = pair(tensor)
    scheduler.observe(0.5)
    assign(optimizer, 0.125)
    state, optimizer_state = json.dumps(scheduler.state_dict()), deepcopy(optimizer.state_dict())
    resumed_optimizer, resumed = pair(tensor)
    if order == "optimizer first":
        resumed_optimizer.load_state_dict(optimizer_state)
    resumed.load_state_dict(json.loads(state))
    if order == "scheduler first":
        resumed_optimizer.load_state_dict(optimizer_state)
    assert lrs(resumed_optimizer) == resumed.get_lr() == lrs(optimizer) == [0.375, 0.125]
    for each in (scheduler, resumed):
        with pytest.warns(UserWarning, match="0.125"):
            each.observe(1.0)
    assert lrs(resumed_optimizer) == lrs(optimizer) == [0.5, 1.0]
