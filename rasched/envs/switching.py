"""The bandit that becomes another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rasched.envs.base import ENVS
from rasched.envs.gaussian import BatchedGaussian, GaussianBandit
from rasched.registry import number


@ENVS.register("switching")
@dataclass(frozen=True, kw_only=True)
class SwitchingBandit(GaussianBandit):
    """A Gaussian bandit that redraws all its means after every ``period`` steps, without a word."""

    period: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        number("env.period", self.period, "at least 1 step", lambda v: v >= 1)

    def make(self, seeds: Sequence[int]) -> BatchedSwitching:
        """Return one bandit a seed."""
        return BatchedSwitching(self, seeds)


class BatchedSwitching(BatchedGaussian):
    """Switching bandits of many runs; they switch at the same steps, each to means of its own."""

    def __init__(self, settings: SwitchingBandit, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds)
        self._period, self._steps = settings.period, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the arms' means, how far each stream has been drawn, and the steps taken."""
        return {**super().state_dict(), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of a bandit with the same settings and seeds."""
        super().load_state_dict(state)
        self._steps = state["steps"]

    def _move(self) -> None:
        self._steps += 1
        if self._steps % self._period == 0:
            self._redraw()
