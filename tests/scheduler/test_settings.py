"""Settings: the constructor's names and defaults, each checked once, by name, whatever the rule."""

import inspect
import re
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from optimizers import lrs, sgd

from rasched import RewardAdaptiveScheduler

SIGNATURE = {
    "rule": "kelly",
    "ema_reward_beta": None,
    "normalize": None,
    "normalize_rate": 0.02,
    "min_lr": None,
    "max_lr": None,
    "adapt_momentum": False,
    "min_momentum": 0.85,
    "max_momentum": 0.95,
    "on_nonfinite": "raise",
    "sync": False,
    "horizon": None,
}
RULE_SETTINGS = [
    *("scaling_center", "scaling_span", "trend_up", "trend_down", "variance_alpha", "variance_window"),
    *("kelly_gain", "kelly_temp"),
]


def test_the_signature_is_the_contract() -> None:
    parameters = inspect.signature(RewardAdaptiveScheduler).parameters
    assert list(parameters) == ["optimizer", *SIGNATURE, *RULE_SETTINGS]
    assert {name: parameters[name].default for name in SIGNATURE} == SIGNATURE
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in [*SIGNATURE, *RULE_SETTINGS][1:])


@pytest.mark.parametrize(
    ("keyword", "hint"),
    [
        ("gain", " (did you mean 'kelly_gain'?)"),
        ("min_lrs", " (did you mean 'min_lr'?)"),
        ("cooldown", "; known: optimizer, rule, ema_reward_beta, normalize, "),
    ],
)
def test_an_unknown_keyword_is_a_type_error_that_names_the_nearest(keyword: str, hint: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"got an unexpected keyword argument {keyword!r}{hint}")):
        RewardAdaptiveScheduler(sgd(0.1), **{keyword: 0.3})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("ema_reward_beta", v) for v in (-0.1, 1.0, 1.5, nan)],
        *[("normalize_rate", v) for v in (-0.1, 1.5, nan)],
        *[("normalize", v) for v in ("standardise", "", "mean")],
        *[("on_nonfinite", v) for v in ("ignore", "")],
        *[("horizon", v) for v in (0, -3, 2.5, nan, inf, "ten", True)],
        *[("min_momentum", v) for v in (-0.1, 0.95, 0.99, nan)],
        *[("max_momentum", v) for v in (1.0, 0.85, 0.5, nan)],
        *[("scaling_span", v) for v in (0.0, -1.0, nan, inf)],
        *[("scaling_center", v) for v in (nan, inf)],
        *[("trend_up", v) for v in (1.0, 0.9, nan, inf)],
        *[("trend_down", v) for v in (0.0, 1.0, -0.5, nan)],
        *[("variance_alpha", v) for v in (-1.0, nan, inf)],
        *[("variance_window", v) for v in (0, -3)],
        *[("kelly_gain", v) for v in (0.0, 1.0, -0.2, nan)],
        *[("kelly_temp", v) for v in (0.0, -1.0, nan)],
    ],
)
@pytest.mark.parametrize("rule", ("kelly", "none", "variance"))
def test_a_setting_out_of_range_is_refused_whatever_the_rule(rule: str, name: str, value: Any) -> None:
    optimizer = sgd(0.1, momentum=0.9)
    with pytest.raises(ValueError, match=name):
        RewardAdaptiveScheduler(optimizer, rule, adapt_momentum=True, **{name: value})
    assert lrs(optimizer) == [0.1]


@pytest.mark.parametrize(("name", "value"), [("kelly_gain", "0.2"), ("min_lr", "0.01"), ("variance_window", 2.5)])
def test_a_setting_of_the_wrong_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        RewardAdaptiveScheduler(sgd(0.1), **{name: value})


def test_a_misspelt_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="kelly_gian"):
        RewardAdaptiveScheduler(sgd(0.1), kelly_gian=0.3)  # type: ignore[call-arg]


def test_numpy_settings_are_numbers() -> None:
    ours = RewardAdaptiveScheduler(
        sgd(0.1), kelly_gain=np.float64(0.3), max_lr=np.float32(0.5), variance_window=np.int64(3)
    )
    theirs = RewardAdaptiveScheduler(sgd(0.1), kelly_gain=0.3, max_lr=0.5)
    ours.observe(1.0)
    theirs.observe(1.0)
    assert ours.get_lr() == theirs.get_lr()
    assert type(ours.get_lr()[0]) is float
