"""From reward to signal: the statistics in closed form, scale and offset laws, and many runs in one object."""

import statistics
from math import isclose
from typing import Any

import pytest
import reference
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import histories

from rasched.rules.signal import RewardSignal
from rasched.stacking import snapshot, stack

REWARDS = st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=1, max_size=25)
RATES = st.sampled_from((0.0, 0.02, 0.3, 1.0))


def signals_of(rewards: list[float], **settings: Any) -> list[Any]:
    signal = RewardSignal(**settings)
    return [signal.observe(reward) for reward in rewards]


@pytest.mark.parametrize("normalize", [None, "center", "standardize"])
@given(drawn=histories(), rate=RATES, beta=st.none() | st.floats(0, 0.99))
def test_signals_are_what_the_formulas_say(normalize: str | None, drawn: Any, rate: float, beta: float | None) -> None:
    scale, rewards = drawn
    expected = reference.signals(rewards, normalize, rate, beta)
    unit = 1.0 if normalize == "standardize" else scale
    ours = signals_of(rewards, normalize=normalize, normalize_rate=rate, ema_reward_beta=beta)
    assert all(isclose(a, b, rel_tol=1e-12, abs_tol=1e-13 * unit) for a, b in zip(ours, expected, strict=True))


@given(rewards=REWARDS)
def test_cumulative_statistics_are_the_sample_mean_and_deviation(rewards: list[float]) -> None:
    """With r = 0 the recursions have a closed form, which shares no step with them."""
    expected = []
    for t in range(1, len(rewards) + 1):
        past = rewards[:t]
        deviation = statistics.pstdev(past)
        expected.append((past[-1] - statistics.fmean(past)) / deviation if deviation else 0.0)
    assert signals_of(rewards, normalize="standardize", normalize_rate=0.0) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


@given(rewards=REWARDS, rate=st.floats(0.05, 0.9))
def test_the_mean_is_cumulative_at_first_and_exponential_after(rewards: list[float], rate: float) -> None:
    early = int(1 / rate)  # the last t at which 1/t is not below r
    mean = statistics.fmean(rewards[:early])
    for reward in rewards[early:]:
        mean = (1 - rate) * mean + rate * reward
    last = signals_of(rewards, normalize="center", normalize_rate=rate)[-1]
    assert last == pytest.approx(rewards[-1] - mean, rel=1e-9, abs=1e-9)


@given(rewards=REWARDS, beta=st.floats(0, 0.99))
def test_smoothing_is_a_weighted_sum_that_starts_at_the_first_value(rewards: list[float], beta: float) -> None:
    weights = [beta ** (len(rewards) - 1), *((1 - beta) * beta**k for k in reversed(range(len(rewards) - 1)))]
    total = sum(w * x for w, x in zip(weights, rewards, strict=True))
    assert signals_of(rewards, ema_reward_beta=beta)[-1] == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert signals_of(rewards, ema_reward_beta=beta)[0] == rewards[0]


@given(rewards=REWARDS)
def test_off_means_the_reward_itself(rewards: list[float]) -> None:
    assert signals_of(rewards) == signals_of(rewards, ema_reward_beta=0.0) == rewards


@pytest.mark.parametrize("normalize", ["center", "standardize"])
@given(reward=st.floats(-1e6, 1e6), times=st.integers(1, 60), rate=RATES)
def test_a_constant_reward_is_exactly_zero_once_normalised(
    normalize: str, reward: float, times: int, rate: float
) -> None:
    assert signals_of([reward] * times, normalize=normalize, normalize_rate=rate) == [0.0] * times


@given(rewards=REWARDS, rate=RATES, power=st.integers(-20, 20))
def test_standardised_signals_do_not_depend_on_the_scale(rewards: list[float], rate: float, power: int) -> None:
    settings: dict[str, Any] = {"normalize": "standardize", "normalize_rate": rate, "ema_reward_beta": 0.5}
    # A power of two scales every float exactly, so this law needs no tolerance.
    assert signals_of([r * 2.0**power for r in rewards], **settings) == signals_of(rewards, **settings)


@pytest.mark.parametrize("normalize", ["center", "standardize"])
@given(rewards=REWARDS, rate=RATES, offset=st.integers(-1000, 1000))
def test_normalised_signals_do_not_depend_on_the_zero(
    normalize: str, rewards: list[float], rate: float, offset: int
) -> None:
    settings: dict[str, Any] = {"normalize": normalize, "normalize_rate": rate}
    width = max(rewards) - min(rewards)
    assume(width > 1 and rate < 1)  # a deviation of the size of a rounding has no digits left to compare
    shifted = signals_of([r + offset for r in rewards], **settings)
    assert shifted == pytest.approx(signals_of(rewards, **settings), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("normalize", [None, "center", "standardize"])
@pytest.mark.parametrize("smooth", [False, True])
@given(columns=st.lists(st.tuples(*[st.integers(-1000, 1000).map(lambda n: n / 8)] * 3), min_size=1, max_size=25))
def test_many_runs_are_the_runs_one_by_one(
    normalize: str | None, smooth: bool, columns: list[tuple[float, ...]]
) -> None:
    settings = [
        {"normalize": normalize, "normalize_rate": rate, "ema_reward_beta": beta if smooth else None}
        for rate, beta in ((0.02, 0.0), (0.3, 0.5), (0.0, 0.9))
    ]
    singles = [RewardSignal(**each) for each in settings]  # type: ignore[arg-type]
    stacked = stack([RewardSignal(**each) for each in settings])  # type: ignore[arg-type]
    for row in columns:
        ours = stacked.observe(torch.tensor(row, dtype=torch.float64))
        theirs = [single.observe(reward) for single, reward in zip(singles, row, strict=True)]
        assert isinstance(ours, torch.Tensor) and ours.shape == (3,) and ours.dtype == torch.float64
        assert ours.tolist() == pytest.approx(theirs, rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("normalize", ["center", "standardize"])
def test_statistics_beyond_a_float_are_refused_with_nothing_changed(normalize: str) -> None:
    signal = RewardSignal(normalize=normalize, ema_reward_beta=0.5)
    signal.observe(1.0)
    before = snapshot(signal)
    with pytest.raises(ValueError, match="1e\\+200"):
        signal.observe(1e200)
    assert snapshot(signal) == before
