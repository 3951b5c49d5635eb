"""A state that does not quite fit: other settings are kept out with one warning, what cannot fit is refused whole."""

from math import inf, nan
from typing import Any

import pytest
from optimizers import lrs, snapshot
from scheduler_factories import make, observed

State = dict[str, Any]


def test_settings_stay_the_constructors_and_one_warning_names_what_differs() -> None:
    state = observed(0.5, kelly_gain=0.3, ema_reward_beta=0.5).state_dict()
    scheduler = make(kelly_gain=0.2, ema_reward_beta=0.9, max_lr=2.0)
    with pytest.warns(UserWarning, match="kelly_gain") as caught:
        scheduler.load_state_dict(state)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert all(name in message for name in ("ema_reward_beta", "max_lr"))
    assert "kelly_temp" not in message and "normalize" not in message
    control = make(kelly_gain=0.2, ema_reward_beta=0.9, max_lr=2.0)
    kept = {key: scheduler.state_dict()[key] == control.state_dict()[key] for key in control.state_dict()}
    assert any(kept.values())
    scheduler.observe(1e9)  # with its own gain at most 1.2 times; with the loaded one 1.3
    assert scheduler.get_lr()[0] / observed(0.5, kelly_gain=0.3).get_lr()[0] == pytest.approx(1.2)


@pytest.mark.parametrize(
    "setting", [{"normalize": "center"}, {"ema_reward_beta": 0.5}, {"adapt_momentum": True}, {"trend_up": 1.5}]
)
def test_a_difference_in_either_direction_warns(setting: dict[str, Any]) -> None:
    for saved, loading in ((setting, {}), ({}, setting)):
        state = observed(0.5, rule="trend", **saved).state_dict()
        with pytest.warns(UserWarning, match=next(iter(setting))):
            make("trend", **loading).load_state_dict(state)


def test_a_setting_of_another_rule_does_not_warn() -> None:
    make("kelly", trend_up=1.5).load_state_dict(observed(0.5, trend_up=1.1).state_dict())


def test_a_rate_beyond_the_constructors_bounds_comes_back_inside() -> None:
    state = observed(*[1e9] * 20).state_dict()
    scheduler = make(max_lr=[0.2, 0.6])
    with pytest.warns(UserWarning, match="max_lr"):
        scheduler.load_state_dict(state)
    scheduler.observe(0.0)
    assert scheduler.get_lr() == lrs(scheduler.optimizer) == [0.2, 0.6]


@pytest.mark.parametrize(("saved", "loading"), [(9, 3), (3, 9)])
def test_a_window_of_another_length_becomes_the_constructors(saved: int, loading: int) -> None:
    rewards = [float(n * n % 7) for n in range(30)]
    scheduler, control = make("variance", variance_window=loading), make("variance", variance_window=loading)
    with pytest.warns(UserWarning, match="variance_window"):
        scheduler.load_state_dict(observed(*rewards[:15], rule="variance", variance_window=saved).state_dict())
    for reward in rewards[:15]:
        control.observe(reward)
    for reward in rewards[15:]:
        scheduler.observe(reward)
        control.observe(reward)
    assert scheduler.get_lr() == control.get_lr()


def broken(**changes: Any) -> State:
    return observed(0.5, 0.25).state_dict() | changes


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (observed(0.5, rule="trend").state_dict(), "trend.*kelly|kelly.*trend"),
        (observed(0.5, groups=1).state_dict(), r"\b1\b.*\b2\b|\b2\b.*\b1\b"),
        (observed(0.5, groups=3).state_dict(), r"\b3\b.*\b2\b|\b2\b.*\b3\b"),
        (broken(version=broken()["version"] + 1), "version|newer"),
        (broken(version=10**6), "version|newer"),
    ],
    ids=["rule", "fewer groups", "more groups", "next version", "far version"],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(state: State, words: str) -> None:
    scheduler = observed(1.0, -0.5, 0.1, adapt_momentum=True)
    before = snapshot(scheduler)
    with pytest.raises(ValueError, match=words):
        scheduler.load_state_dict(state)
    assert snapshot(scheduler) == before


DAMAGES = [None, object(), inf, nan, -inf, True, -3, 2.5, 2**2000, "0.1", [], {}, [nan], ["0.1"], {"a": inf}, [[1.0]]]
HARMLESS: dict[str, list[Any]] = {
    "written": [True],
    "settings": [{}, {"a": inf}],
    "momenta": [None],
    "last_epoch": [-3],
    "last_signal": [None, -3, 2.5],
}


@pytest.mark.parametrize("rule", ["trend", "variance"])
def test_each_damaged_entry_is_refused_with_a_sentence_and_changes_nothing(rule: str) -> None:
    sound = observed(0.5, 0.25, rule=rule, normalize="standardize", adapt_momentum=True).state_dict()
    scheduler = observed(1.0, -0.5, rule=rule, normalize="standardize", adapt_momentum=True)
    before = snapshot(scheduler)
    for key in sound:
        whole = [sound | {key: damage} for damage in DAMAGES if damage not in HARMLESS.get(key, [])]
        parts = [] if key not in ("rule_state", "signal_state") else [(n, d) for n in sound[key] for d in DAMAGES]
        inner = [sound | {key: sound[key] | {name: damage}} for name, damage in parts if is_damage(key, name, damage)]
        for damaged in [{k: v for k, v in sound.items() if k != key}, *whole, *inner]:
            with pytest.raises(ValueError, match=r"state|saved|damaged|version|groups"):
                scheduler.load_state_dict(damaged)
            assert snapshot(scheduler) == before, damaged


def is_damage(key: str, name: str, damage: Any) -> bool:
    """A number may replace a number; a rule's may be infinite, as the factor of `scaling` is after a huge reward."""
    is_number = type(damage) is float or damage == -3
    if name == "signals":
        return damage not in ([], [nan])
    if key == "signal_state" and name in ("count", "variance") and damage == -3:
        return True
    return not is_number or (key == "signal_state" and damage not in (-3, 2.5))


@pytest.mark.parametrize("state", [None, [], "state", 3, {"_rasched_state": None}, {"version": True}, {"version": inf}])
def test_what_is_no_state_is_refused_and_changes_nothing(state: Any) -> None:
    scheduler = observed(1.0, -0.5)
    before = snapshot(scheduler)
    with pytest.raises(ValueError, match="not the state of a RewardAdaptiveScheduler"):
        scheduler.load_state_dict(state)
    assert snapshot(scheduler) == before
