"""A state that does not quite fit: other settings are kept out with one warning, what cannot fit is refused whole."""

import warnings
from typing import Any

import pytest
from optimizers import lrs, snapshot
from scheduler_factories import make, observed

from rasched.rules import Trend

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


def test_each_damaged_entry_is_refused_or_harmless_but_never_half_loaded() -> None:
    """Any replaced or missing entry is an exception that leaves everything unchanged."""
    sound = observed(0.5, 0.25, rule=Trend()).state_dict()
    for key in sound:
        for damaged in ({k: v for k, v in sound.items() if k != key}, sound | {key: object()}):
            scheduler = observed(1.0, -0.5, rule="trend")
            before = snapshot(scheduler)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    scheduler.load_state_dict(damaged)
                except Exception:
                    assert snapshot(scheduler) == before, key
