"""A Gaussian bandit whose means follow a random walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from rasched.envs.bandits.gaussian import GaussianBandit, GaussianBanditSettings
from rasched.envs.base import ENVS


@ENVS.register("drifting")
@dataclass(frozen=True, kw_only=True)
class DriftingBanditSettings(GaussianBanditSettings):
    """Settings of a Gaussian bandit whose means each move by N(0, drift^2) after every step.

    After n steps a mean has moved by a standard deviation of ``drift * sqrt(n)``. With ``mean_std=0.0`` all arms start
    equal, as in exercise 2.5 of Sutton & Barto (2018), from which the default of ``drift`` is taken.
    """

    drift: Annotated[float, Ge(0)] = 0.01

    def make(self, seeds: Sequence[int]) -> DriftingBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""
        return DriftingBandit(self, seeds)


class DriftingBandit(GaussianBandit):
    """Drifting bandits of many runs."""

    def __init__(self, settings: DriftingBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds, ("drift",))
        self._drift = settings.drift

    def _advance_means(self) -> None:
        self._set_means(self.means + self._streams["drift"].normal(self.num_actions) * self._drift)
