"""The rate falls as the signal becomes noisier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rasched.numerics import Real, Window, minimum, push, variance
from rasched.rules.base import RULES, Rule
from rasched.stacking import shared, state
from rasched.validation import check_number


@RULES.register("variance")
@dataclass(slots=True)
class Variance(Rule):
    r"""Divide the base rate by one plus the variance of the last :math:`k` signals.

    With weight :math:`a` and window :math:`W_t` of the last :math:`k` signals (population variance; one signal has 0)

        lr_{t+1} = lr0 / (1 + a Var(W_t))

    It never exceeds the base rate. The scale of the rewards matters by its square, and a *change* of the reward, even
    for the better, counts as noise until the window has forgotten the old level.
    """

    never_raises: ClassVar[bool] = True
    alpha: Real = 1.0  # a >= 0, per squared unit of the signal
    window: int = shared(20)  # k >= 1 signals
    factor: Real = state(1.0)
    signals: Window = state((), length="window")

    def __post_init__(self) -> None:
        self.alpha = check_number("variance_alpha", self.alpha, "at least 0", lambda a: a >= 0)
        whole = check_number(
            "variance_window", self.window, "a whole number of at least 1", lambda k: k >= 1 and k == int(k)
        )
        self.window = int(whole)

    def observe(self, signal: Real) -> None:
        self.signals = push(self.signals, signal, self.window)
        # capped, so that an infinite variance times a = 0 is not NaN
        self.factor = 1.0 / (1.0 + self.alpha * minimum(variance(self.signals), 1e300))

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * self.factor
