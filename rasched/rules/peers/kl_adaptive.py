"""The rate that keeps the policy's change per update near a target."""

from __future__ import annotations

from dataclasses import dataclass
from math import log as ln
from math import nan
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import BoolLike, Real, exp, log, logical_and, logical_not, maximum, minimum, where
from rasched.rules.base import RULES
from rasched.rules.reward_rise import RewardRise
from rasched.stacking import context, shared, state

RANGE = 100.0  # how far from the base rate the rule goes, in either direction
CLIMB = 0.1  # of the log rate per call, while there is no KL to go by


@RULES.register("kl_adaptive")
@dataclass(slots=True)
class KLAdaptive(RewardRise):
    r"""Keep the KL divergence of an update, from the old policy to the new one, near a target.

    With the divergence :math:`K` of the whole update on its own observations, target :math:`d` and factor :math:`f`,

        lr_{t+1} = lr_t / f  if K > 2 d,    lr_t f  if 0 < K < d / 2,    else lr_t

    Sources: rl_games, rsl_rl (Rudin et al. 2022), skrl and TorchRL (``KLAdaptiveLR``), with target .008 to .01 and
    factor 1.5; these are the rule with both switches off. Two switches make it safe for a base rate that is wrong by
    orders of magnitude:

    - ``slow_start`` begins at a hundredth of the base rate. A rate that is too high ruins a policy before it is cut.
    - ``reward_hold`` does not exceed the rate at which the reward rose (see :class:`RewardRise`). A policy that has
      become certain changes little at any rate, and without this its rate would grow until one surprise ruins it.

    Call ``scheduler.apply()`` before the first step, because constructing a scheduler writes no rate, and
    ``observe(R=..., kl=...)`` after each. NaN says that the divergence is not known at this step: the rate then climbs
    by 10 % per call until the reward rises, not beyond the base rate unless rewards have told something.
    """

    extra_signals: ClassVar[tuple[str, ...]] = ("kl",)
    never_raises: ClassVar[bool] = True
    target_kl: Annotated[Real, Interval(gt=0)] = 0.01  # nats
    factor: Annotated[Real, Interval(gt=1)] = 1.5
    slow_start: bool = shared(True)
    reward_hold: bool = shared(True)
    log_factor: Real = state(0.0)  # log of the rate divided by the base rate
    log_ceiling: Real = state(ln(RANGE))
    min_factor: Real = context(1 / RANGE)
    max_factor: Real = context(RANGE)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log_factor = -ln(RANGE) if self.slow_start else 0.0

    @property
    def needs_raw_rewards(self) -> bool:
        return self.reward_hold

    def initial_lr(self, base_lr: Real) -> Real:
        return base_lr * exp(self.log_factor)

    def observe(self, signal: Real, kl: Real = nan) -> None:
        rises = self.observe_rise(signal)
        if self.reward_hold:
            self.log_ceiling = where(rises, self.log_factor, self.log_ceiling)
        self._move(kl, self.is_informed())

    def observe_missing(self, kl: Real = nan) -> BoolLike:
        self._move(kl, False)
        return True

    def _move(self, kl: Real, is_informed: BoolLike) -> None:
        step, here = log(self.factor), self.log_factor
        raised = minimum(here + step, self.log_ceiling)
        is_small = logical_and(kl > 0.0, kl < self.target_kl / 2.0)
        known = where(kl > 2.0 * self.target_kl, here - step, where(is_small, raised, here))
        top = where(is_informed, ln(RANGE), 0.0)
        climbs = logical_and(logical_not(self.risen > 0.0), here < top)
        unknown = where(climbs, minimum(here + CLIMB, top), here)
        if not self.slow_start:
            unknown = here
        moved = where(kl == kl, known, unknown)
        low = log(maximum(self.min_factor, 1.0 / RANGE))
        self.log_factor = maximum(low, minimum(moved, log(minimum(self.max_factor, RANGE))))

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * exp(self.log_factor)
