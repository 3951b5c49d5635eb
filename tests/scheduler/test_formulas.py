"""Every formula, through the whole scheduler, against the independent reference.

Tolerance: 1e-12 relative. A product may be associated differently from the reference's, each such choice costs one
unit in the last place (1e-16), and thirty multiplied rates and thirty averaged signals keep that below 1e-13.
"""

from itertools import pairwise
from math import isclose
from typing import Any

import pytest
import reference
from hypothesis import assume, example, given
from hypothesis import strategies as st
from optimizers import lrs, momenta, sgd, snapshot
from strategies import SCALES, bounded_groups, histories, rule_settings

from rasched import RewardAdaptiveScheduler

NORMALIZE = (None, "center", "standardize")
SMOOTHING = (None, 0.0, 0.3, 0.9)


def close(ours: list[float], theirs: list[float]) -> bool:
    return len(ours) == len(theirs) and all(isclose(a, b, rel_tol=1e-12) for a, b in zip(ours, theirs, strict=True))


def near_ties(history: list[float]) -> bool:
    """Whether rounding could decide if a signal rose: `trend` jumps there, so no tolerance would hold."""
    scale = max(map(abs, history))
    return any(a != b and abs(a - b) < 1e-9 * scale for a, b in pairwise(history))


@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("normalize", NORMALIZE)
@pytest.mark.parametrize("beta", SMOOTHING)
@given(data=st.data(), drawn=histories(), grouped=bounded_groups(), rate=st.sampled_from((0.0, 0.02, 0.3, 1.0)))
def test_every_rate_is_what_the_formulas_say(
    rule: str, normalize: str | None, beta: float | None, data: st.DataObject, drawn: Any, grouped: Any, rate: float
) -> None:
    (scale, rewards), (bases, bounds, intervals) = drawn, grouped
    settings = data.draw(rule_settings(1.0 if normalize == "standardize" else scale))
    history = reference.signals(rewards, normalize, rate, beta)
    assume(rule != "trend" or not near_ties(history))
    expected = [
        reference.rates(rule, history, base, low, high, **settings)
        for base, (low, high) in zip(bases, intervals, strict=True)
    ]
    optimizer = sgd(*bases)
    scheduler = RewardAdaptiveScheduler(
        optimizer, rule, normalize=normalize, normalize_rate=rate, ema_reward_beta=beta, **bounds, **settings
    )
    for t, reward in enumerate(rewards):
        scheduler.observe(reward)
        now = [trajectory[t] for trajectory in expected]
        assert close(scheduler.get_lr(), now), f"observation {t + 1}: {scheduler.get_lr()}, expected {now}"
        assert lrs(optimizer) == scheduler.get_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("normalize", NORMALIZE)
@given(rewards=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=12), grouped=bounded_groups())
@example(rewards=[1e300, -1e300, 1e300], grouped=([0.1], {}, [(0.001, 10.0)]))
@example(rewards=[1e-320, 0.0, 5e-324], grouped=([0.1], {}, [(0.001, 10.0)]))
def test_no_finite_reward_leaves_the_bounds(
    rule: str, normalize: str | None, rewards: list[float], grouped: Any
) -> None:
    bases, bounds, intervals = grouped
    scheduler = RewardAdaptiveScheduler(sgd(*bases), rule, normalize=normalize, ema_reward_beta=0.5, **bounds)
    for reward in rewards:
        before = snapshot(scheduler)
        try:
            scheduler.observe(reward)
        except ValueError as error:  # statistics of such rewards do not fit into a float: said, and nothing changed
            assert normalize is not None and abs(reward) > 1e150 and "range" in str(error)
            assert snapshot(scheduler) == before
        assert all(low <= lr <= high for lr, (low, high) in zip(scheduler.get_lr(), intervals, strict=True))


@given(drawn=histories(), grouped=bounded_groups(), least=st.floats(0, 0.5), most=st.floats(0.6, 0.99))
@pytest.mark.parametrize("rule", ("kelly", "scaling", "variance"))
def test_momentum_is_opposite_to_the_rate_on_a_log_scale(
    rule: str, drawn: Any, grouped: Any, least: float, most: float
) -> None:
    (scale, rewards), (bases, bounds, intervals) = drawn, grouped
    optimizer = sgd(*bases, momentum=0.7)
    settings = {"kelly_temp": scale, "scaling_span": scale, "variance_alpha": 1 / scale**2}
    scheduler = RewardAdaptiveScheduler(
        optimizer, rule, adapt_momentum=True, min_momentum=least, max_momentum=most, **bounds, **settings
    )
    for reward in rewards:
        scheduler.observe(reward)
        expected = [
            reference.momentum(lr, low, high, least, most)
            for lr, (low, high) in zip(scheduler.get_lr(), intervals, strict=True)
        ]
        # Absolute: near the upper bound the difference of two numbers near 1 loses relative, never absolute, precision.
        assert momenta(optimizer) == pytest.approx(expected, rel=0, abs=1e-13)
        assert all(least - 1e-15 <= m <= most + 1e-15 for m in momenta(optimizer))


@pytest.mark.parametrize("scale", SCALES)
def test_a_tie_is_no_rise(scale: float) -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1), "trend", trend_up=1.5, trend_down=0.5)
    rates = []
    for reward in (scale, scale, 2 * scale, 2 * scale):
        scheduler.observe(reward)
        rates.append(scheduler.get_lr()[0])
    assert rates == pytest.approx([0.1, 0.05, 0.075, 0.0375], rel=1e-12)


def test_examples_by_hand() -> None:
    """Five numbers worked out on paper, so that reference and package cannot share a misreading."""
    scheduler = RewardAdaptiveScheduler(sgd(0.1), "scaling")
    scheduler.observe(0.5)
    assert scheduler.get_lr() == pytest.approx([0.15])
    scheduler.observe(-0.5)  # from the base rate again, not from 0.15
    assert scheduler.get_lr() == pytest.approx([0.05])

    scheduler = RewardAdaptiveScheduler(sgd(0.1), "variance", variance_window=2)
    for reward in (7.0, 1.0, 3.0):  # the window is (1, 3): variance 1
        scheduler.observe(reward)
    assert scheduler.get_lr() == pytest.approx([0.05])

    scheduler = RewardAdaptiveScheduler(sgd(0.1), "scaling", normalize="center", ema_reward_beta=0.5, normalize_rate=0)
    for reward in (1.0, 2.0, 3.0):  # means 1, 1.5, 2; centred 0, 0.5, 1; smoothed 0, 0.25, 0.625
        scheduler.observe(reward)
    assert scheduler.get_lr() == pytest.approx([0.1625])

    scheduler = RewardAdaptiveScheduler(sgd(0.1), "kelly", kelly_gain=0.5)
    scheduler.observe(0.5493061443340549)  # atanh(0.5)
    assert scheduler.get_lr() == pytest.approx([0.125])
