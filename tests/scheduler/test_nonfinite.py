"""A reward that is no finite number: refused by default, counted and skipped on request; never half applied."""

from math import inf, isfinite, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimizers import sgd, snapshot
from reference import RULES

from rasched import RewardAdaptiveScheduler
from rasched.rules import Rule
from rasched.rules.peers.decay import LinearDecay
from rasched.rules.search_hold import SearchHold
from rasched.stacking import state_dict

NONFINITE = [nan, inf, -inf, torch.tensor(nan), torch.tensor([inf]), np.float32("nan"), np.array([-inf])]


def number(reward: Any) -> float:
    return float(reward.item()) if hasattr(reward, "item") else reward


def make(rule: str, **settings: Any) -> RewardAdaptiveScheduler:
    return RewardAdaptiveScheduler(sgd(0.1, 0.3), rule, normalize="standardize", ema_reward_beta=0.3, **settings)


@pytest.mark.parametrize("wrong", NONFINITE, ids=repr)
@pytest.mark.parametrize("rule", RULES)
def test_by_default_it_raises_with_value_and_call_and_changes_nothing(rule: str, wrong: Any) -> None:
    scheduler, control = make(rule), make(rule)
    for reward in (0.5, 0.25, 0.75):
        scheduler.observe(reward)
        control.observe(reward)
    before = snapshot(scheduler)
    with pytest.raises(ValueError, match=r"\b4\b") as error:
        scheduler.observe(wrong)
    assert str(number(wrong)) in str(error.value)
    assert snapshot(scheduler) == before
    scheduler.observe(1.0)
    control.observe(1.0)
    assert snapshot(scheduler) == snapshot(control)
    assert scheduler.num_skipped == 0


@pytest.mark.parametrize("rule", RULES)
@given(rewards=st.lists(st.sampled_from(NONFINITE) | st.integers(-9, 9).map(float), max_size=15))
def test_skipped_is_counted_and_otherwise_as_if_not_called(rule: str, rewards: list[Any]) -> None:
    scheduler, control = make(rule, on_nonfinite="skip"), make(rule)
    skipped = 0
    for reward in rewards:
        scheduler.observe(reward)
        if isfinite(number(reward)):
            control.observe(reward)
        else:
            skipped += 1
        assert scheduler.num_skipped == skipped
        assert scheduler.get_lr() == control.get_lr()


@pytest.mark.parametrize("rule", [LinearDecay(), SearchHold()], ids=lambda rule: rule.name)
def test_a_rule_with_a_clock_does_not_count_a_skipped_reward(rule: Rule) -> None:
    skipping, control = (RewardAdaptiveScheduler(sgd(0.1), rule, on_nonfinite="skip", horizon=9) for _ in range(2))
    for reward in (0.5, nan, 0.25, inf, nan, 1.0, 0.75):
        skipping.observe(reward)
        if isfinite(reward):
            control.observe(reward)
        assert skipping.get_lr() == control.get_lr()
        assert state_dict(skipping.rule) == state_dict(control.rule)
    control.observe(None)
    assert state_dict(skipping.rule) != state_dict(control.rule), "a step without a reward is a step for its clock"


def test_the_count_of_skipped_rewards_survives_in_the_state() -> None:
    scheduler = make("kelly", on_nonfinite="skip")
    for reward in (1.0, nan, inf):
        scheduler.observe(reward)
    fresh = make("kelly", on_nonfinite="skip")
    fresh.load_state_dict(scheduler.state_dict())
    assert fresh.num_skipped == 2


def test_step_with_a_nonfinite_reward_is_observe() -> None:
    scheduler = make("kelly")
    with pytest.raises(ValueError, match="nan"):
        scheduler.step(nan)
    with pytest.raises(ValueError, match="inf"):
        scheduler.step(torch.tensor(inf))
