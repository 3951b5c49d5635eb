"""The bandit that becomes another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rasched.envs.bandits.gaussian import GaussianBandit, GaussianBanditSettings
from rasched.envs.base import ENVS
from rasched.validation import check_number


@ENVS.register("switching")
@dataclass(frozen=True, kw_only=True)
class SwitchingBanditSettings(GaussianBanditSettings):
    """A Gaussian bandit that redraws all its means after every ``switch_every`` steps, without a word."""

    switch_every: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("env.switch_every", self.switch_every, "at least 1 step", lambda v: v >= 1)

    def make(self, seeds: Sequence[int]) -> SwitchingBandit:
        """Return one bandit a seed."""
        return SwitchingBandit(self, seeds)


class SwitchingBandit(GaussianBandit):
    """Switching bandits of many runs; they switch at the same steps, each to means of its own."""

    def __init__(self, settings: SwitchingBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds)
        self._period, self._steps = settings.switch_every, 0

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
