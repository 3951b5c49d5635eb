"""A constant learning rate, the control of every experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rasched.numerics import Real
from rasched.rules.base import RULES, Rule


@RULES.register("none")
@dataclass(slots=True)
class NoRule(Rule):
    """Observe and record, without writing a learning rate; other schedulers may write it.

    Only at the end of a warm-up in front it writes the base rate, once, so that a comparison with other rules is fair.
    """

    writes_lr: ClassVar[bool] = False
    never_raises: ClassVar[bool] = True

    def observe(self, signal: Real) -> None:
        pass

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr
