"""Schedules over the whole run, which no reward changes."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Annotated, ClassVar

from annotated_types import Interval

from rasched.numerics import BoolLike, Real, cos, maximum, minimum
from rasched.rules.base import RULES, Rule
from rasched.stacking import context, state


@dataclass(slots=True)
class Decay(Rule):
    """A schedule of the share of the run that is over; every call counts, with a reward or without."""

    never_raises: ClassVar[bool] = True
    needs_horizon: ClassVar[bool] = True
    final: Annotated[Real, Interval(ge=0, le=1)] = 0.0  # share of the base rate at the end of the run
    num_calls: Real = state(0.0)
    horizon: Real = context(0.0)

    def observe(self, signal: Real) -> None:
        self.num_calls = self.num_calls + 1.0

    def observe_missing(self) -> BoolLike:
        self.num_calls = self.num_calls + 1.0
        return True

    def progress(self) -> Real:
        """Return the share of the run that is over, in [0, 1]; 0 for ever if its length is unknown."""
        share = self.num_calls / maximum(self.horizon, 1.0)
        return minimum(share, 1.0) * minimum(self.horizon, 1.0)


@RULES.register("linear")
@dataclass(slots=True)
class LinearDecay(Decay):
    r"""Lower the rate in a straight line over the run.

    After :math:`t` of :math:`T` calls, with final share :math:`f`,

        lr_{t+1} = lr0 (1 - (1 - f) t / T)

    The bounds of the rate hold: with the default bounds it ends at a hundredth of the base rate. The strong baseline of
    on-policy training (Stable-Baselines3's zoo, CleanRL: ``anneal_lr``), there with ``final=0``.
    """

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * (1.0 - (1.0 - self.final) * self.progress())


@RULES.register("cosine")
@dataclass(slots=True)
class CosineDecay(Decay):
    r"""Lower the rate along half a cosine over the run (Loshchilov & Hutter 2017, without restarts).

    After :math:`t` of :math:`T` calls, with final share :math:`f`,

        lr_{t+1} = lr0 (f + (1 - f) (1 + cos(pi t / T)) / 2)
    """

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        wave = (1.0 + cos(self.progress() * pi)) / 2.0
        return base_lr * (self.final + (1.0 - self.final) * wave)
