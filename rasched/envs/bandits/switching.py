"""A Gaussian bandit whose means are sampled again at regular intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from rasched.envs.bandits.gaussian import GaussianBandit, GaussianBanditSettings
from rasched.envs.base import ENVS


@ENVS.register("switching")
@dataclass(frozen=True, kw_only=True)
class SwitchingBanditSettings(GaussianBanditSettings):
    """Settings of a Gaussian bandit whose means are sampled again every ``switch_every`` steps.

    The agent does not observe when this happens.
    """

    switch_every: Annotated[int, Ge(1)] = 1000

    def make(self, seeds: Sequence[int]) -> SwitchingBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""
        return SwitchingBandit(self, seeds)


class SwitchingBandit(GaussianBandit):
    """Switching bandits of many runs. All switch at the same steps, each to means of its own."""

    def __init__(self, settings: SwitchingBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds)
        self._switch_every, self._num_steps = settings.switch_every, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the means of the arms, the position in each random stream, and the number of steps."""
        return {**super().state_dict(), "num_steps": self._num_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a bandit with the same settings and seeds."""
        super().load_state_dict(state)
        self._num_steps = state["num_steps"]

    def _advance_means(self) -> None:
        self._num_steps += 1
        if self._num_steps % self._switch_every == 0:
            self._sample_means()
