"""A reward is one number of any type; None is no reward; several elements are an error that names the way out."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimizers import sgd, snapshot
from reference import RULES

from rasched import RewardAdaptiveScheduler

HALVES = [
    *(0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5), np.array(0.5), np.array([0.5]), np.array([[[0.5]]])),
    *(torch.tensor(0.5, dtype=d) for d in (torch.float64, torch.float32, torch.float16, torch.bfloat16)),
    *(
        torch.tensor([0.5]),
        torch.tensor([[0.5]]),
        torch.tensor(0.5, requires_grad=True),
        torch.tensor([0.25], requires_grad=True) * 2,
    ),
]
ONES = [1, True, np.int64(1), np.uint8(1), np.bool_(True), np.array(True), torch.tensor(1), torch.tensor([True])]
KINDS = ([(r, 0.5) for r in HALVES], [(r, 1.0) for r in ONES], [(r, 0.0) for r in (0, False, -0.0, np.bool_(False))])


@pytest.mark.parametrize(("reward", "number"), [pair for kind in KINDS for pair in kind], ids=lambda r: repr(r))
@pytest.mark.parametrize("normalize", [None, "standardize"])
def test_a_reward_of_any_type_is_its_number(reward: Any, number: float, normalize: str | None) -> None:
    ours, theirs = (RewardAdaptiveScheduler(sgd(0.1), normalize=normalize, ema_reward_beta=0.5) for _ in range(2))
    for other in (0.25, None, -0.75):
        assert ours.observe(reward) is None
        assert theirs.observe(number) is None
        ours.observe(other)
        theirs.observe(other)
    assert snapshot(ours) == snapshot(theirs)
    assert all(type(rate) is float for rate in ours.get_lr())


def test_a_reward_with_grad_keeps_no_graph() -> None:
    """Were the tensor kept, each observation would hold the whole graph of the loss it came from."""
    weight = torch.ones(3, requires_grad=True)
    scheduler = RewardAdaptiveScheduler(sgd(0.1), "variance", ema_reward_beta=0.5, normalize="center")
    scheduler.observe((weight * 2).sum())
    assert weight.grad is None
    assert "tensor" not in repr(scheduler.state_dict())


@pytest.mark.parametrize(
    "several", [torch.ones(2), torch.ones(3, 1, requires_grad=True), np.ones(4), np.ones((2, 2))], ids=repr
)
def test_several_rewards_must_be_reduced_and_the_error_says_how(several: Any) -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    scheduler.observe(0.5)
    before = snapshot(scheduler)
    with pytest.raises(ValueError, match=r"mean\(\)"):
        scheduler.observe(several)
    assert snapshot(scheduler) == before


NO_REWARDS = [
    *(torch.empty(0), np.empty(0), "0.5", object(), {"reward": 1.0}, 1j, np.array("0.5"), torch.tensor(1j)),
    *(np.ma.masked, np.ma.array([1.0], mask=[True]), torch.empty((), device="meta"), torch.empty(3, device="meta")),
]


@pytest.mark.parametrize("wrong", NO_REWARDS, ids=lambda value: type(value).__name__)
def test_anything_else_is_refused_and_changes_nothing(wrong: Any) -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    scheduler.observe(0.5)
    before = snapshot(scheduler)
    with pytest.raises((TypeError, ValueError)):
        scheduler.observe(wrong)
    assert snapshot(scheduler) == before


@pytest.mark.parametrize("huge", [2**2000, -(2**2000), np.array(2**2000, dtype=object)], ids=["2**2000", "-", "object"])
def test_an_int_beyond_the_range_of_a_float_counts_as_infinite(huge: Any) -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    for _ in range(3):  # the second and third through the fast path
        with pytest.raises(ValueError, match="inf"):
            scheduler.observe(huge)
        scheduler.observe(0.5)
    skipping = RewardAdaptiveScheduler(sgd(0.1), on_nonfinite="skip")
    for count in range(1, 4):
        skipping.observe(huge)
        skipping.observe(0.5)
        assert skipping.num_skipped == count
    assert skipping.get_lr() == scheduler.get_lr()


def test_a_masked_array_without_a_masked_entry_is_its_number() -> None:
    ours, theirs = (RewardAdaptiveScheduler(sgd(0.1)) for _ in range(2))
    ours.observe(np.ma.array([0.5], mask=[False]))
    theirs.observe(0.5)
    assert ours.get_lr() == theirs.get_lr()


def test_a_reward_comes_by_position_or_as_r() -> None:
    ours, theirs = (RewardAdaptiveScheduler(sgd(0.1)) for _ in range(2))
    ours.observe(0.5)
    theirs.observe(R=0.5)
    assert snapshot(ours) == snapshot(theirs)


@pytest.mark.parametrize("rule", RULES)
def test_the_five_rules_ignore_a_second_signal(rule: str) -> None:
    ours, theirs = (RewardAdaptiveScheduler(sgd(0.1), rule) for _ in range(2))
    for reward in (0.5, -0.5, None, 0.25):
        ours.observe(R=reward, kl=0.01)
        theirs.observe(R=reward)
    assert snapshot(ours) == snapshot(theirs)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("normalize", [None, "center", "standardize"])
@given(rewards=st.lists(st.none() | st.integers(-9, 9).map(float), min_size=1, max_size=15))
def test_no_reward_is_as_if_not_called(rule: str, normalize: str | None, rewards: list[float | None]) -> None:
    def make() -> RewardAdaptiveScheduler:
        return RewardAdaptiveScheduler(
            sgd(0.1, 0.3, momentum=0.9), rule, normalize=normalize, ema_reward_beta=0.3, adapt_momentum=rule != "none"
        )

    ours, theirs = make(), make()
    for reward in rewards:
        before = snapshot(ours)
        ours.observe(reward)
        if reward is None:
            assert snapshot(ours) == before
        else:
            theirs.observe(reward)
    assert snapshot(ours) == snapshot(theirs)
