"""A rule that searches for the rate at which an update moves the policy by a given KL divergence, then holds it."""

from __future__ import annotations

from dataclasses import dataclass
from math import log as ln
from math import nan
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import BoolLike, Real, exp, log, logical_and, logical_not, maximum, minimum, where
from rasched.rules.base import RULES
from rasched.rules.reward_rise import RewardRise
from rasched.stacking import context, state

RANGE = 100.0  # how far from the base rate the rule goes, in either direction
FORGETTING = 0.1  # of the mean of the log divergence
UP, DOWN = ln(1.5), ln(3.0)  # the largest changes of the log rate per call during the search
CUT = ln(1.5)  # change of the log rate after one divergence above twice the target
CLIMB = 0.1  # of the log rate per call, before any divergence is known
SMALLEST_KL = 1e-30


@RULES.register("kl_search")
@dataclass(slots=True)
class KLSearch(RewardRise):
    r"""Find the rate whose updates have a given KL divergence, by an averaged estimate, and hold it once rewards rise.

    The divergence of a small update grows with the square of the rate. So one divergence :math:`K` at rate
    :math:`lr_t` predicts that of any other rate, and the predictions can be averaged although the rate changes. With
    target :math:`d` and a running mean :math:`q` of

        log K - 2 log(lr_t / lr0)

    the rate that has the target is :math:`lr0 sqrt(d / e^q)`. From a hundredth of the base rate, each call goes half
    the way there in the logarithm, by a factor in [1/3, 1.5]; a single :math:`K > 2 d` lowers the rate by 1.5 in any
    case. Once the reward has risen (see :class:`RewardRise`) the rate follows :class:`KLAdaptive` below the rate at
    which it rose, which is never exceeded again.

    The mean in the logarithm is why it exists: the divergence of single updates varies over orders of magnitude, and
    :class:`KLAdaptive` takes a step of 1.5 for each.

    Call ``scheduler.apply()`` before the first step, because constructing a scheduler writes no rate, and
    ``observe(R=..., kl=...)`` after each. NaN says that the divergence is not known at this step. It changes nothing,
    but before the first known one the rate climbs by 10 % per call, up to the base rate.
    """

    extra_signals: ClassVar[tuple[str, ...]] = ("kl",)
    never_raises: ClassVar[bool] = True
    target_kl: Annotated[Real, Interval(gt=0)] = 0.005  # nats
    gain: Annotated[Real, Interval(gt=0, le=1)] = 0.5  # share of the way to the target per call
    log_factor: Real = state(-ln(RANGE))  # log of the rate divided by the base rate
    log_ceiling: Real = state(ln(RANGE))
    mean_log_kl: Real = state(0.0)  # q: of the divergence that the base rate would have
    num_kl: Real = state(0.0)
    min_factor: Real = context(1 / RANGE)
    max_factor: Real = context(RANGE)

    def initial_lr(self, base_lr: Real) -> Real:
        return base_lr * exp(self.log_factor)

    def observe(self, signal: Real, kl: Real = nan) -> None:
        rises = self.observe_rise(signal)
        self.log_ceiling = where(rises, self.log_factor, self.log_ceiling)
        self._move(kl)

    def observe_missing(self, kl: Real = nan) -> BoolLike:
        self._move(kl)
        return True

    def _move(self, kl: Real) -> None:
        here = self.log_factor
        is_known = logical_and(kl > 0.0, kl < 1e300)
        self._update_mean(kl, is_known)
        toward = (log(self.target_kl) - self.mean_log_kl) / 2.0 - here
        step = minimum(maximum(self.gain * toward, -DOWN), UP)
        is_large, is_small = kl > 2.0 * self.target_kl, logical_and(kl > 0.0, kl < self.target_kl / 2.0)
        searched = where(is_large, here + minimum(step, -CUT), where(is_known, here + step, here))
        held = minimum(where(is_large, here - CUT, where(is_small, here + CUT, here)), self.log_ceiling)
        moved = where(self.risen > 0.0, held, searched)
        climbs = logical_and(logical_not(self.num_kl > 0.0), logical_and(here < 0.0, kl != kl))
        moved = where(climbs, minimum(here + CLIMB, 0.0), moved)
        low = log(maximum(self.min_factor, 1.0 / RANGE))
        self.log_factor = maximum(low, minimum(moved, log(minimum(self.max_factor, RANGE))))

    def _update_mean(self, kl: Real, is_known: BoolLike) -> None:
        count = self.num_kl + where(is_known, 1.0, 0.0)
        weight = maximum(1.0 / maximum(count, 1.0), FORGETTING)
        at_base = log(maximum(kl, SMALLEST_KL)) - 2.0 * self.log_factor
        mean = self.mean_log_kl + weight * (at_base - self.mean_log_kl)
        self.mean_log_kl, self.num_kl = where(is_known, mean, self.mean_log_kl), count

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * exp(self.log_factor)
