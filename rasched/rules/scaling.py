"""The rate is an affine function of the signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rasched.numerics import Real
from rasched.rules.base import RULES, Rule
from rasched.stacking import state
from rasched.validation import check_number


@RULES.register("scaling")
@dataclass(slots=True)
class Scaling(Rule):
    r"""Raise the rate above its base after signals above a centre, lower it after signals below.

    With signal :math:`S_t`, centre :math:`c` and span :math:`s`, the base rate is multiplied by

        1 + (S_t - c) / s

    It has no memory: a signal one span under the centre, or lower, gives the lower bound at once, and rewards far above
    the centre give a rate in proportion to their size. Offset and scale of the rewards matter.
    """

    never_raises: ClassVar[bool] = True
    center: Real = 0.0  # c, in units of the signal
    span: Real = 1.0  # s > 0, in units of the signal
    factor: Real = state(1.0)

    def __post_init__(self) -> None:
        self.center = check_number("scaling_center", self.center, "finite", lambda c: True)
        self.span = check_number("scaling_span", self.span, "above 0", lambda s: s > 0)

    def observe(self, signal: Real) -> None:
        self.factor = 1.0 + (signal - self.center) / self.span

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * self.factor
