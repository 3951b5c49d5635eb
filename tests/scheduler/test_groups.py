"""Parameter groups: each from its own base; added later, replaced by a load, never cached."""

import pytest
import torch
from optimizers import lrs, parameter, sgd, snapshot

from rasched import RewardAdaptiveScheduler

REWARDS = [0.5, -0.25, 1.0, -1.0, 0.75]


@pytest.mark.parametrize("rule", ["kelly", "scaling", "trend", "variance"])
def test_groups_do_not_see_one_another(rule: str) -> None:
    together = RewardAdaptiveScheduler(sgd(0.1, 0.02, 0.7), rule)
    alone = [RewardAdaptiveScheduler(sgd(base), rule) for base in (0.1, 0.02, 0.7)]
    for reward in REWARDS:
        together.observe(reward)
        for one in alone:
            one.observe(reward)
        assert together.get_lr() == [one.get_lr()[0] for one in alone]


@pytest.mark.parametrize("rule", ["kelly", "scaling", "trend", "variance"])
def test_a_group_added_later_is_adopted_with_its_own_rate_as_base(rule: str) -> None:
    optimizer = sgd(0.1)
    scheduler, control = RewardAdaptiveScheduler(optimizer, rule), RewardAdaptiveScheduler(sgd(0.1), rule)
    for reward in REWARDS[:3]:
        scheduler.observe(reward)
        control.observe(reward)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    assert scheduler.get_lr() == [*control.get_lr(), 0.4] == scheduler.get_last_lr()
    before = control.get_lr()[0]
    scheduler.observe(REWARDS[3])
    control.observe(REWARDS[3])
    factor = control.get_lr()[0] / (before if rule in ("kelly", "trend") else 0.1)
    assert lrs(optimizer) == pytest.approx([*control.get_lr(), 0.4 * factor], rel=1e-12)
    assert optimizer.param_groups[1]["initial_lr"] == 0.4


def test_an_added_group_gets_bounds_relative_to_its_own_base() -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling")
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    scheduler.observe(-1e9)
    assert lrs(optimizer) == pytest.approx([0.001, 0.004])
    scheduler.observe(1e9)
    assert lrs(optimizer) == pytest.approx([10.0, 40.0])


def test_an_added_group_shares_the_bounds_that_all_share() -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", min_lr=0.05, max_lr=0.5)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    scheduler.observe(1e9)
    assert lrs(optimizer) == [0.5, 0.5]


@pytest.mark.parametrize("bounds", [{"min_lr": [0.01]}, {"max_lr": [1.0]}])
def test_a_group_added_under_a_list_of_bounds_is_a_value_error(bounds: dict[str, list[float]]) -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", **bounds)
    scheduler.observe(0.5)
    before = lrs(optimizer)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.1})
    with pytest.raises(ValueError, match=next(iter(bounds))):
        scheduler.observe(0.25)
    assert lrs(optimizer) == [*before, 0.1]


def test_an_added_group_goes_through_the_state() -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer)
    scheduler.observe(0.5)
    optimizer.add_param_group({"params": [parameter()], "lr": 0.4})
    scheduler.observe(0.25)
    fresh = RewardAdaptiveScheduler(sgd(0.1, 0.4))
    fresh.load_state_dict(scheduler.state_dict())
    for reward in REWARDS:
        scheduler.observe(reward)
        fresh.observe(reward)
    assert fresh.get_lr() == scheduler.get_lr() == lrs(fresh.optimizer)


@pytest.mark.parametrize("tensor", [False, True])
def test_replaced_groups_are_written_as_the_old_ones_were(tensor: bool) -> None:
    """Accelerate's prepare and every checkpoint replace the dicts of the groups, and tensor rates with them."""
    optimizer, control = (sgd(*(torch.tensor(r) if tensor else r for r in (0.1, 0.2))) for _ in range(2))
    scheduler, other = RewardAdaptiveScheduler(optimizer), RewardAdaptiveScheduler(control)
    for reward in REWARDS:
        old = optimizer.param_groups[0]
        optimizer.load_state_dict(optimizer.state_dict())
        assert optimizer.param_groups[0] is not old
        scheduler.observe(reward)
        other.observe(reward)
        assert lrs(optimizer) == lrs(control)
    assert snapshot(scheduler)[1:] == snapshot(other)[1:]


@pytest.mark.parametrize("to_tensor", [False, True])
def test_a_rate_may_change_between_float_and_tensor(to_tensor: bool) -> None:
    """A checkpoint with a tensor rate makes a float optimizer's rate a tensor, and the other way round."""
    plain, tensor = sgd(0.25), sgd(torch.tensor(0.25))
    optimizer, source = (plain, tensor) if to_tensor else (tensor, plain)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling")
    optimizer.load_state_dict(source.state_dict() if to_tensor else sgd(0.25).state_dict())
    scheduler.observe(1.0)
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor) is to_tensor
    assert lrs(optimizer) == [0.5]
