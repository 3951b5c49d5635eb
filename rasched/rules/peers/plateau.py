"""torch's ReduceLROnPlateau on rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import Real, where
from rasched.rules.base import RULES, Rule
from rasched.stacking import state

LOWEST = -1.7976931348623157e308  # stands for "no best yet": minus infinity is not JSON


@RULES.register("plateau")
@dataclass(slots=True)
class Plateau(Rule):
    r"""Lower the rate after a number of signals without a new best one.

    With best signal :math:`B`, threshold :math:`h`, patience :math:`p` and factor :math:`f`, a signal is an improvement
    if :math:`S_t > B + h`. After more than :math:`p` signals in a row that are none,

        lr_{t+1} = lr_t f

    and the count starts anew. It can only lower the rate. Source: ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with
    ``mode="max"`` and its defaults, but for ``threshold_mode="abs"``: torch's relative threshold asks a negative reward
    to become worse.
    """

    never_raises: ClassVar[bool] = True
    factor: Annotated[Real, Interval(gt=0, lt=1)] = 0.1
    patience: Annotated[Real, Interval(ge=0)] = 10.0  # signals
    threshold: Annotated[Real, Interval(ge=0)] = 1e-4  # in units of the signal
    best_signal: Real = state(LOWEST)
    num_bad: Real = state(0.0)
    change: Real = state(1.0)  # by which the last signal multiplies the rate

    def observe(self, signal: Real) -> None:
        is_better = signal > self.best_signal + self.threshold
        num_bad = where(is_better, 0.0, self.num_bad + 1.0)
        lowers = num_bad > self.patience
        self.best_signal = where(is_better, signal, self.best_signal)
        self.num_bad = where(lowers, 0.0, num_bad)
        self.change = where(lowers, self.factor, 1.0)

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.change
