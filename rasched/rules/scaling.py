"""A rule that makes the learning rate an affine function of the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import Real
from rasched.rules.base import RULES, Rule
from rasched.stacking import state


@RULES.register("scaling")
@dataclass(slots=True)
class Scaling(Rule):
    r"""Raise the learning rate above its base after signals above a center, lower it after signals below.

    With signal :math:`S_t`, center :math:`c` and span :math:`s`, the base rate is multiplied by

        1 + (S_t - c) / s

    The rule has no memory. A signal one span below the center, or lower, gives the lower bound at once. Rewards far
    above the center give a rate in proportion to their size. Offset and scale of the rewards matter.
    """

    never_raises: ClassVar[bool] = True
    center: Real = 0.0  # c, in units of the signal
    span: Annotated[Real, Interval(gt=0)] = 1.0  # s, in units of the signal
    factor: Real = state(1.0)

    def observe(self, signal: Real) -> None:
        self.factor = 1.0 + (signal - self.center) / self.span

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * self.factor
