r"""From reward to signal: running normalisation, then exponential smoothing."""

from __future__ import annotations

from dataclasses import dataclass

from rasched.numerics import Real, maximum, sqrt, where
from rasched.stacking import shared, state
from rasched.validation import check_number, did_you_mean

NORMALIZE = ("center", "standardize")


@dataclass(slots=True)
class RewardSignal:
    r"""What a rule sees of the rewards of one run, or of a stack of runs.

    With reward :math:`R_t`, running mean :math:`m` and variance :math:`v` (both started at 0), and
    :math:`a = \max(r, 1/t)`, :math:`d = R_t - m`:

        m <- m + a d
        v <- (1 - a)(v + a d^2)
        x_t = R_t,  R_t - m,  or  (R_t - m) / sqrt(v)        (None, "center", "standardize"; 0 where v = 0)
        S_t = b S_{t-1} + (1 - b) x_t                        (S_1 = x_1)

    so the statistics are cumulative until :math:`1/t` falls to the rate :math:`r`, and exponential after; ``r = 0``
    stays cumulative. The first standardised reward is 0 by construction: a rule hears nothing before the second.
    """

    normalize: str | None = shared(None)
    normalize_rate: Real = 0.02  # r in [0, 1]
    ema_reward_beta: Real | None = None  # b in [0, 1)
    count: Real = state(0.0)  # t
    mean: Real = state(0.0)  # m
    variance: Real = state(0.0)  # v
    past: Real = state(0.0)  # the weight of S_{t-1}: 0 at first, then b
    smoothed: Real = state(0.0)  # S

    def __post_init__(self) -> None:
        if self.normalize is not None and self.normalize not in NORMALIZE:
            hint = did_you_mean(str(self.normalize), NORMALIZE)
            raise ValueError(f"normalize must be None, 'center' or 'standardize', got {self.normalize!r}{hint}")
        self.normalize_rate = check_number("normalize_rate", self.normalize_rate, "in [0, 1]", lambda r: 0 <= r <= 1)
        if self.ema_reward_beta is not None:
            self.ema_reward_beta = check_number(
                "ema_reward_beta", self.ema_reward_beta, "in [0, 1)", lambda b: 0 <= b < 1
            )

    def observe(self, reward: Real) -> Real:
        """Take the next finite reward (a float, or shape ``(runs,)``) and return the signal, of the same shape.

        A float that takes the statistics beyond the range of a float is a ValueError, with nothing changed.
        """
        if self.normalize is not None:
            reward = self._normalised(reward)
        beta = self.ema_reward_beta
        if beta is None:
            return reward
        past = self.past  # a first weight of 0 says S_1 = x_1 without a branch
        self.past = beta
        self.smoothed = signal = past * self.smoothed + (1.0 - past) * reward
        return signal

    def _normalised(self, reward: Real) -> Real:
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
