"""The contract's formulas over whole histories: lists in, lists out, no state kept and nothing imported.

Written from the formulas alone and never from the package, so that the two can only agree by both being right.
`rewards` holds finite floats: what is skipped or absent is filtered by the caller, as if never observed.
"""

from collections.abc import Sequence
from math import fsum, log, sqrt, tanh

DEFAULTS: dict[str, float] = {
    "scaling_center": 0.0,
    "scaling_span": 1.0,
    "trend_up": 1.05,
    "trend_down": 0.95,
    "variance_alpha": 1.0,
    "variance_window": 20,
    "kelly_gain": 0.2,
    "kelly_temp": 1.0,
}
RULES = ("kelly", "none", "scaling", "trend", "variance")


def normalised(rewards: Sequence[float], normalize: str | None, rate: float) -> list[float]:
    """x_t: the reward, centred on a running mean, divided by a running deviation."""
    if normalize is None:
        return list(rewards)
    mean, variance, out = 0.0, 0.0, []
    for t, reward in enumerate(rewards, start=1):
        a = max(rate, 1 / t)
        d = reward - mean
        mean += a * d
        variance = (1 - a) * (variance + a * d * d)
        x = reward - mean
        if normalize == "standardize":
            x = x / sqrt(variance) if variance > 0 else 0.0
        out.append(x)
    return out


def smoothed(values: Sequence[float], beta: float | None) -> list[float]:
    """S_t: an exponential mean that starts at the first value."""
    if beta is None:
        return list(values)
    out: list[float] = []
    for x in values:
        out.append(beta * out[-1] + (1 - beta) * x if out else x)
    return out


def signals(
    rewards: Sequence[float],
    normalize: str | None = None,
    normalize_rate: float = 0.02,
    ema_reward_beta: float | None = None,
) -> list[float]:
    """S_1, S_2, ... of these rewards."""
    return smoothed(normalised(rewards, normalize, normalize_rate), ema_reward_beta)


def population_variance(window: Sequence[float]) -> float:
    """Mean squared distance from the mean; a window of one has 0."""
    mean = fsum(window) / len(window)
    return fsum((x - mean) ** 2 for x in window) / len(window)


def rates(
    rule: str, history: Sequence[float], base: float, low: float, high: float, waiting: int = 0, **given: float
) -> list[float]:
    """lr after each signal; the first `waiting` signals are observed but change no rate (a warm-up is in front)."""
    setting = DEFAULTS | given
    lr, out = base, []
    for t, signal in enumerate(history):
        proposed = lr
        if rule == "scaling":
            proposed = base * (1 + (signal - setting["scaling_center"]) / setting["scaling_span"])
        elif rule == "trend" and t > 0:
            proposed = lr * (setting["trend_up"] if signal > history[t - 1] else setting["trend_down"])
        elif rule == "variance":
            window = history[max(0, t + 1 - int(setting["variance_window"])) : t + 1]
            proposed = base / (1 + setting["variance_alpha"] * population_variance(window))
        elif rule == "kelly":
            proposed = lr * (1 + setting["kelly_gain"] * tanh(signal / setting["kelly_temp"]))
        if t >= waiting:
            lr = min(max(proposed, low), high)
        out.append(lr)
    return out


def momentum(lr: float, low: float, high: float, least: float = 0.85, most: float = 0.95) -> float:
    """Opposite to the rate, by its position between the bounds on a log scale."""
    position = log(lr / low) / log(high / low)
    return most - position * (most - least)
