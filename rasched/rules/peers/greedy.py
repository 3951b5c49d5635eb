"""GreedyLR of transformers on rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import Real, where
from rasched.rules.base import RULES, Rule
from rasched.rules.peers.plateau import LOWEST
from rasched.stacking import state


@RULES.register("greedy")
@dataclass(slots=True)
class Greedy(Rule):
    r"""Raise the rate after a row of new best signals, lower it after a row of others.

    With best signal :math:`B`, threshold :math:`h`, patience :math:`p` and factor :math:`F`, a signal is good if
    :math:`S_t > B + h`, else bad. After more than :math:`p` good ones in a row, or bad ones,

        lr_{t+1} = lr_t / F,  or  lr_t F

    and that count starts anew. Noisy rewards rarely bring eleven new best ones in a row, so it mostly lowers the rate.
    Source: ``GreedyLR`` of transformers 5 (arXiv 2512.14527), with ``mode="max"`` and its defaults, but without its
    bounds (1e-3 and 1) and without its restart after 500 steps at the lower one. Its moving average of the metric is
    off there by default; ``ema_reward_beta`` smooths here.
    """

    never_raises: ClassVar[bool] = True
    factor: Annotated[Real, Interval(gt=0, lt=1)] = 0.95
    patience: Annotated[Real, Interval(ge=0)] = 10.0  # signals
    threshold: Annotated[Real, Interval(ge=0)] = 1e-6  # in units of the signal
    best_signal: Real = state(LOWEST)
    num_good: Real = state(0.0)
    num_bad: Real = state(0.0)
    change: Real = state(1.0)  # by which the last signal multiplies the rate

    def observe(self, signal: Real) -> None:
        is_better = signal > self.best_signal + self.threshold
        num_good = where(is_better, self.num_good + 1.0, 0.0)
        num_bad = where(is_better, 0.0, self.num_bad + 1.0)
        raises, lowers = num_good > self.patience, num_bad > self.patience
        self.best_signal = where(is_better, signal, self.best_signal)
        self.num_good = where(raises, 0.0, num_good)
        self.num_bad = where(lowers, 0.0, num_bad)
        self.change = where(raises, 1.0 / self.factor, where(lowers, self.factor, 1.0))

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.change
