"""A rule that raises the learning rate while the signal rises and lowers it otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import Real, where
from rasched.rules.base import RULES, Rule
from rasched.stacking import state


@RULES.register("trend")
@dataclass(slots=True)
class Trend(Rule):
    r"""Multiply the learning rate by :math:`u` after a rise of the signal, by :math:`d` otherwise.

        lr_{t+1} = lr_t u  if S_t > S_{t-1},  else lr_t d

    The first call changes nothing. Only the order of two consecutive signals counts, so offset and scale do not matter.
    A tie counts as a fall, so a constant reward leads to the lower bound. Under pure noise the log of the rate drifts
    by :math:`(\ln u + \ln d) / 2` per observation, which is downward at the defaults. With :math:`u d = 1` it is a
    random walk.
    """

    never_raises: ClassVar[bool] = True
    up: Annotated[Real, Interval(gt=1)] = 1.05  # u
    down: Annotated[Real, Interval(gt=0, lt=1)] = 0.95  # d
    previous_signal: Real = state(0.0)  # S_{t-1}
    has_previous: Real = state(0.0)  # 1 once there is a previous signal
    factor: Real = state(1.0)

    def observe(self, signal: Real) -> None:
        change = where(signal > self.previous_signal, self.up, self.down)
        self.factor = where(self.has_previous > 0.0, change, 1.0)
        self.previous_signal = signal
        self.has_previous = 1.0

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.factor
