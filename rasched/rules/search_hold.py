"""Search for a rate by rewards alone, hold it while it works, cut it if the reward falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import (
    BoolLike,
    Real,
    exp,
    logical_and,
    logical_not,
    maximum,
    minimum,
    sqrt,
    where,
)
from rasched.rules.base import RULES, Rule
from rasched.rules.peers.plateau import LOWEST
from rasched.stacking import context, state

START = 0.01  # of the base rate
FAST, SLOW = 0.1, 0.02  # of the two running means
SETTLED = 20.0  # rewards before anything is concluded
SMALLEST_VARIANCE = 1e-16
LARGEST = 1e150  # reward whose square is a float


@RULES.register("search_hold")
@dataclass(slots=True)
class SearchHold(Rule):
    r"""Raise the rate from a hundredth of its base until the reward improves, then hold it.

    A fast and a slow running mean of the rewards, :math:`f` and :math:`s`, differ by :math:`z` standard errors of their
    difference; its noise is estimated from neighbouring rewards, so that neither offset nor trend counts. Per call

        d log lr =  0        if z > threshold       (it works)
                   -cut      if z < -threshold      (the reward falls)
                   +search   before the first z > threshold
                   +recover  if f is more than ``threshold`` standard errors below the best s
                    0        otherwise

    Call ``scheduler.apply()`` before the first step, because constructing a scheduler writes no rate. A call without a
    reward raises the rate like a search, up to the base rate, until the first improvement. The rule is
    the same for any offset and positive scale of the rewards. It needs neither KL nor the length of the run. Where the
    reward improves late (sparse rewards), it searches too far: :class:`KLAdaptive` is better wherever KL is known.
    """

    never_raises: ClassVar[bool] = True
    threshold: Annotated[Real, Interval(gt=0)] = 4.0  # standard errors
    search: Annotated[Real, Interval(ge=0)] = 0.1  # of the log rate, per call
    recover: Annotated[Real, Interval(ge=0)] = 0.03
    cut: Annotated[Real, Interval(ge=0)] = 0.05
    num_rewards: Real = state(0.0)
    fast_mean: Real = state(0.0)
    slow_mean: Real = state(0.0)
    noise_variance: Real = state(0.0)
    last_reward: Real = state(0.0)
    best_mean: Real = state(LOWEST)
    has_improved: Real = state(0.0)
    log_change: Real = state(0.0)  # of the rate, by the last call
    ceiling: Real = state(0.0)  # 1 while the rate may not exceed its base: after a call without a reward
    min_factor: Real = context(START)
    max_factor: Real = context(1 / START)

    @property
    def needs_raw_rewards(self) -> bool:
        return True

    def initial_lr(self, base_lr: Real) -> Real:
        return base_lr * START

    def observe(self, signal: Real) -> None:
        signal = maximum(minimum(signal, LARGEST), -LARGEST)
        count = self.num_rewards + 1.0
        share = 1.0 / count
        self._update_noise(signal, count)
        fast, slow = maximum(share, FAST), maximum(share, SLOW)
        self.fast_mean = self.fast_mean + fast * (signal - self.fast_mean)
        self.slow_mean = self.slow_mean + slow * (signal - self.slow_mean)
        of_fast, of_difference = error_factors(fast, slow, share)
        is_settled = count > SETTLED
        error = sqrt(maximum(self.noise_variance * of_difference, 1e-300))
        is_informed = logical_and(is_settled, self.noise_variance > SMALLEST_VARIANCE)
        z = where(is_informed, (self.fast_mean - self.slow_mean) / error, 0.0)
        self.best_mean = where(is_settled, maximum(self.best_mean, self.slow_mean), self.best_mean)
        self.has_improved = where(z > self.threshold, 1.0, self.has_improved)
        is_lost = self.fast_mean < self.best_mean - self.threshold * sqrt(self.noise_variance * of_fast)
        waiting = where(self.has_improved > 0.0, where(is_lost, self.recover, 0.0), self.search)
        self.log_change = where(z > self.threshold, 0.0, where(z < -self.threshold, -self.cut, waiting))
        self.ceiling = 0.0

    def _update_noise(self, reward: Real, count: Real) -> None:
        step = reward - self.last_reward
        forgetting = maximum(1.0 / maximum(count - 1.0, 1.0), SLOW)
        moved = self.noise_variance + forgetting * (step * step / 2.0 - self.noise_variance)
        self.noise_variance = where(count > 1.0, moved, 0.0)
        self.last_reward, self.num_rewards = reward, count

    def observe_missing(self) -> BoolLike:
        searches = logical_not(self.has_improved > 0.0)
        self.log_change = where(searches, self.search, 0.0)
        self.ceiling = 1.0
        return searches

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        raised = lr * exp(self.log_change)
        limited = where(lr < base_lr, minimum(raised, base_lr), lr)
        return where(self.ceiling > 0.0, limited, raised)


def error_factors(fast: Real, slow: Real, share: Real) -> tuple[Real, Real]:
    """Return the variances of the fast mean and of the two means' difference, in units of the noise variance.

    ``share`` is one over the number of rewards: while there are few, a running mean is the plain mean.
    """
    of_fast = maximum(fast / (2.0 - fast), share)
    of_slow = maximum(slow / (2.0 - slow), share)
    covariance = maximum(fast * slow / (fast + slow - fast * slow), share)
    covariance = minimum(minimum(covariance, of_fast), of_slow)
    return of_fast, maximum(of_fast + of_slow - 2.0 * covariance, 1e-3)
