"""The bandit that never stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rasched.envs.bandits.gaussian import GaussianBandit, GaussianBanditSettings
from rasched.envs.base import ENVS
from rasched.validation import check_number


@ENVS.register("drifting")
@dataclass(frozen=True, kw_only=True)
class DriftingBanditSettings(GaussianBanditSettings):
    """A Gaussian bandit whose means walk: after every step each mean_a moves by N(0, drift), a standard deviation.

    So after n steps a mean lies N(0, drift sqrt(n)) from where it began. ``mean_std=0.0`` lets all arms start equal, as
    in exercise 2.5 of Sutton & Barto (2018), whose drift is the default.
    """

    drift: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("env.drift", self.drift, "at least 0", lambda v: v >= 0)

    def make(self, seeds: Sequence[int]) -> DriftingBandit:
        """Return one bandit a seed."""
        return DriftingBandit(self, seeds)


class DriftingBandit(GaussianBandit):
    """Drifting bandits of many runs."""

    def __init__(self, settings: DriftingBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds, ("drift",))
        self._drift = settings.drift

    def _move(self) -> None:
        self._set_means(self.means + self._streams["drift"].normal(self.num_actions) * self._drift)
