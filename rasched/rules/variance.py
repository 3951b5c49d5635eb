"""A rule that lowers the learning rate as the signal becomes noisier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import Real, Window, append_to_window, minimum, variance
from rasched.rules.base import RULES, Rule
from rasched.stacking import shared, state


@RULES.register("variance")
@dataclass(slots=True)
class Variance(Rule):
    r"""Divide the base rate by one plus the variance of the last :math:`k` signals.

    With weight :math:`a` and window :math:`W_t` of the last :math:`k` signals (population variance; one signal has 0)

        lr_{t+1} = lr0 / (1 + a Var(W_t))

    The rate never exceeds the base rate. The scale of the rewards matters by its square. A *change* of the reward, even
    an improvement, counts as noise until the window holds no older signals.
    """

    never_raises: ClassVar[bool] = True
    alpha: Annotated[Real, Interval(ge=0)] = 1.0  # a, per squared unit of the signal
    window: Annotated[int, Interval(ge=1)] = shared(20)  # k, in signals
    factor: Real = state(1.0)
    signals: Window = state((), length="window")

    def observe(self, signal: Real) -> None:
        self.signals = append_to_window(self.signals, signal, self.window)
        # capped, so that an infinite variance times a = 0 is not NaN
        self.factor = 1.0 / (1.0 + self.alpha * minimum(variance(self.signals), 1e300))

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * self.factor
