"""The rate grows while the signal rises and shrinks while it does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rasched.numerics import Real, where
from rasched.rules.base import RULES, Rule
from rasched.stacking import state
from rasched.validation import check_number


@RULES.register("trend")
@dataclass(slots=True)
class Trend(Rule):
    r"""Multiply the rate by :math:`u` after a rise of the signal, by :math:`d` otherwise.

        lr_{t+1} = lr_t u  if S_t > S_{t-1},  else lr_t d

    The first call changes nothing. Only the order of two neighbouring signals counts, so offset and scale do not, and
    ties count as falls: a constant reward brings the lower bound. Under pure noise the log rate drifts by
    :math:`(\ln u + \ln d) / 2` an observation, which is down at the defaults; :math:`u d = 1` leaves a random walk.
    """

    never_raises: ClassVar[bool] = True
    up: Real = 1.05  # u > 1
    down: Real = 0.95  # d in (0, 1)
    previous: Real = state(0.0)  # S_{t-1}
    seen: Real = state(0.0)  # 1 once there is a previous signal
    factor: Real = state(1.0)

    def __post_init__(self) -> None:
        self.up = check_number("trend_up", self.up, "above 1", lambda u: u > 1)
        self.down = check_number("trend_down", self.down, "in (0, 1)", lambda d: 0 < d < 1)

    def observe(self, signal: Real) -> None:
        self.factor = where(self.seen > 0.0, where(signal > self.previous, self.up, self.down), 1.0)
        self.previous = signal
        self.seen = 1.0

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.factor
