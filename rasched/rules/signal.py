r"""From reward to signal by running normalisation, then exponential smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from annotated_types import Interval

from rasched.numerics import Real, maximum, sqrt, where
from rasched.rules.base import Rule
from rasched.stacking import shared, state
from rasched.validation import check_settings

Normalize: TypeAlias = Literal["center", "standardize"]


def check_raw_rewards(rule: Rule, normalize: str | None, ema_reward_beta: float | None, prefix: str = "") -> None:
    """Refuse a processed signal for a rule that needs raw rewards, by a ValueError with the way out.

    An error, since the run would go on to its end: smoothed neighbours are alike, so the rule finds rises of the reward
    that are none, and stops its search at a rate that is too low. ``prefix`` is the config group of the settings.
    """
    settings = {"normalize": normalize, "ema_reward_beta": ema_reward_beta}
    given = {name: value for name, value in settings.items() if value is not None}
    if given and rule.needs_raw_rewards:
        none = "null" if prefix else "None"
        raise ValueError(
            f"rule {rule.name} needs raw rewards, because it estimates their noise from neighbouring ones, but"
            f" {' and '.join(f'{prefix}{name}={value}' for name, value in given.items())}: set"
            f" {' '.join(f'{prefix}{name}={none}' for name in given)}"
        )


@dataclass(slots=True)
class RewardSignal:
    r"""Turns the rewards of one run, or of a stack of runs, into the signal that a rule observes.

    With reward :math:`R_t`, running mean :math:`m` and variance :math:`v` (both start at 0), and
    :math:`a = \max(r, 1/t)`, :math:`d = R_t - m`:

        m <- m + a d
        v <- (1 - a)(v + a d^2)
        x_t = R_t,  R_t - m,  or  (R_t - m) / sqrt(v)        (None, "center", "standardize"; 0 if v = 0)
        S_t = b S_{t-1} + (1 - b) x_t                        (S_1 = x_1)

    So the statistics are cumulative until :math:`1/t` falls to the rate :math:`r`, and exponential afterwards. With
    ``r = 0`` they stay cumulative. The first standardised reward is always 0, so it carries no information.
    """

    normalize: Normalize | None = shared(None)
    normalize_rate: Annotated[Real, Interval(ge=0, le=1)] = 0.02  # r
    ema_reward_beta: Annotated[Real, Interval(ge=0, lt=1)] | None = None  # b
    count: Real = state(0.0)  # t
    mean: Real = state(0.0)  # m
    variance: Real = state(0.0)  # v
    ema_weight: Real = state(0.0)  # the weight of S_{t-1}: 0 at first, then b
    smoothed: Real = state(0.0)  # S

    def __post_init__(self) -> None:
        check_settings(self, config_group="signal")

    def observe(self, reward: Real) -> Real:
        """Take the next finite reward, a float or shape ``(num_runs,)``, and return the signal in the same shape.

        A float that takes the statistics beyond the range of a float is a ValueError, and nothing is changed.
        """
        if self.normalize is not None:
            reward = self._normalize(reward)
        beta = self.ema_reward_beta
        if beta is None:
            return reward
        weight = self.ema_weight  # 0 at the first call, which gives S_1 = x_1 without a branch
        self.ema_weight = beta
        self.smoothed = signal = weight * self.smoothed + (1.0 - weight) * reward
        return signal

    def _normalize(self, reward: Real) -> Real:
        count = self.count + 1.0
        a = maximum(self.normalize_rate, 1.0 / count)
        d = reward - self.mean
        mean = self.mean + a * d
        variance = (1.0 - a) * (self.variance + a * (d * d))
        if type(variance) is float and variance - variance != 0.0:
            raise ValueError(
                f"reward {reward!r} takes the running variance beyond the range of a float: rescale the rewards"
            )
        self.count, self.mean, self.variance = count, mean, variance
        x = reward - mean
        if self.normalize == "center":
            return x
        return where(variance > 0.0, x / sqrt(maximum(variance, 5e-324)), 0.0)
