"""The state: plain values that survive any file, independent of the live object, restoring everything that moves."""

import io
import json
from collections.abc import Callable
from copy import deepcopy
from math import nan
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimizers import lrs, momenta, sgd, snapshot
from reference import RULES
from scheduler_factories import make, observed
from strategies import histories, rule_settings

from rasched import RewardAdaptiveScheduler
from rasched.rules import Kelly

State = dict[str, Any]


def through_torch(state: State) -> State:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: State = torch.load(file, weights_only=True)
    return loaded


def through_json(state: State) -> State:
    loaded: State = json.loads(json.dumps(state, allow_nan=False))
    return loaded


THROUGH = [through_torch, through_json]


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(is_plain, value.values()))
    return all(map(is_plain, value)) if type(value) is list else value is None or type(value) in (bool, int, float, str)


@pytest.mark.parametrize("rule", RULES)
def test_the_state_is_plain_values_and_lists_with_a_version(rule: str) -> None:
    state = observed(0.5, nan, 1.0, rule=rule, normalize="standardize", ema_reward_beta=0.5).state_dict()
    assert is_plain(state)
    assert isinstance(state["version"], int)
    assert through_json(state) == through_torch(state) == state


def test_tensor_rates_and_tensor_rewards_leave_the_state_plain() -> None:
    optimizer = sgd(torch.tensor(0.1), torch.tensor(0.25, dtype=torch.float64))
    scheduler = RewardAdaptiveScheduler(optimizer, "variance", min_lr=[0.01, 0.02], normalize="center")
    scheduler.observe(torch.tensor([0.5]))
    assert is_plain(scheduler.state_dict())


@pytest.mark.parametrize("groups", [1, 2])
def test_the_state_is_independent_of_the_live_object(groups: int) -> None:
    scheduler = observed(0.5, 0.25, rule="variance", groups=groups)
    state = scheduler.state_dict()
    kept = deepcopy(state)
    scheduler.observe(1.0)
    assert state == kept
    other = make("variance", groups)
    other.load_state_dict(state)
    other.observe(1.0)
    assert state == kept
    before = snapshot(scheduler)

    def scribble(value: Any) -> None:
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            scribble(child)
        if isinstance(value, dict | list):
            value.clear()

    scribble(scheduler.state_dict())
    assert snapshot(scheduler) == before


@pytest.mark.parametrize("through", THROUGH)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("normalize", [None, "standardize"])
@given(data=st.data(), drawn=histories(), beta=st.none() | st.floats(0, 0.99), moving=st.booleans())
def test_a_loaded_scheduler_goes_on_bit_for_bit(
    through: Callable[[State], State],
    rule: str,
    normalize: str | None,
    data: st.DataObject,
    drawn: tuple[float, list[float]],
    beta: float | None,
    moving: bool,
) -> None:
    scale, rewards = drawn
    cut = data.draw(st.integers(0, len(rewards)))
    settings = data.draw(rule_settings(scale))
    settings |= {"normalize": normalize, "ema_reward_beta": beta, "adapt_momentum": moving}
    straight = observed(*rewards[:cut], rule=rule, **settings)
    resumed = make(rule, **settings)
    resumed.load_state_dict(through(straight.state_dict()))
    assert snapshot(resumed)[1:] == snapshot(straight)[1:]
    if cut and rule != "none":
        assert lrs(resumed.optimizer) == lrs(straight.optimizer)
        assert momenta(resumed.optimizer) == momenta(straight.optimizer)
    for reward in rewards[cut:]:
        straight.observe(reward)
        resumed.observe(reward)
        assert resumed.get_lr() == straight.get_lr()
        assert lrs(resumed.optimizer) == lrs(straight.optimizer)
        assert momenta(resumed.optimizer) == momenta(straight.optimizer)
    assert resumed.state_dict() == straight.state_dict()


def test_loading_replaces_what_was_observed_before() -> None:
    state = observed(0.5, 0.25).state_dict()
    used = observed(-1.0, 0.7, 0.2, nan)
    used.load_state_dict(state)
    assert snapshot(used) == snapshot(observed(0.5, 0.25))


def test_a_rule_by_name_and_the_same_rule_as_value_share_states() -> None:
    named, value = observed(0.5, kelly_gain=0.3), make(Kelly(gain=0.3))
    value.load_state_dict(named.state_dict())
    assert snapshot(value) == snapshot(named)
