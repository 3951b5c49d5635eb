"""The rate as a stake that grows with a good reward and shrinks with a bad one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rasched.numerics import Real, tanh
from rasched.rules.base import RULES, Rule
from rasched.stacking import state
from rasched.validation import check_number


@RULES.register("kelly")
@dataclass(slots=True)
class Kelly(Rule):
    r"""Bet more of the learning rate after good rewards, less after bad ones (after Kelly 1956: stake by the edge).

    With signal :math:`S_t`, temperature :math:`T` and gain :math:`g`, the current rate is multiplied by

        1 + g tanh(S_t / T)

    so one call moves it by at most a factor :math:`1 \pm g`. It integrates the *sign* of the signal: rewards that are
    always positive only ever raise the rate, up to its bound, and adding a constant to all rewards changes everything.
    Give ``normalize="standardize"`` where rewards have no natural zero.
    """

    never_raises: ClassVar[bool] = True
    gain: Real = 0.2  # g in (0, 1)
    temp: Real = 1.0  # T > 0, in units of the signal
    factor: Real = state(1.0)

    def __post_init__(self) -> None:
        self.gain = check_number("kelly_gain", self.gain, "in (0, 1)", lambda g: 0 < g < 1)
        self.temp = check_number("kelly_temp", self.temp, "above 0", lambda t: t > 0)

    def observe(self, signal: Real) -> None:
        self.factor = 1.0 + self.gain * tanh(signal / self.temp)

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.factor
