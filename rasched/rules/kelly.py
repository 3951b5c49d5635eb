"""A rule that multiplies the learning rate by a bounded function of the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import Real, tanh
from rasched.rules.base import RULES, Rule
from rasched.stacking import state


@RULES.register("kelly")
@dataclass(slots=True)
class Kelly(Rule):
    r"""Raise the learning rate after good rewards, lower it after bad ones.

    With signal :math:`S_t`, temperature :math:`T` and gain :math:`g`, the current rate is multiplied by

        1 + g tanh(S_t / T)

    so one call changes it by at most a factor :math:`1 \pm g`. The name is from Kelly (1956): bet in proportion to the
    edge. The rule integrates the *sign* of the signal. Rewards that are always positive only ever raise the rate, up to
    its bound, and a constant added to all rewards changes everything. Use ``normalize="standardize"`` if rewards have
    no natural zero.
    """

    never_raises: ClassVar[bool] = True
    gain: Annotated[Real, Interval(gt=0, lt=1)] = 0.2  # g
    temp: Annotated[Real, Interval(gt=0)] = 1.0  # T, in units of the signal
    factor: Real = state(1.0)

    def observe(self, signal: Real) -> None:
        self.factor = 1.0 + self.gain * tanh(signal / self.temp)

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.factor
