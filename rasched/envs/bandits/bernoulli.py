"""A bandit whose rewards are 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS


@ENVS.register("bernoulli")
@dataclass(frozen=True, kw_only=True)
class BernoulliBanditSettings(BanditSettings):
    """Settings of a bandit whose arm a pays 1 with probability p_a, else 0.

    The probabilities are drawn once per run from the uniform distribution on [0, 1).
    """

    def make(self, seeds: Sequence[int]) -> BernoulliBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""
        return BernoulliBandit(self, seeds)


class BernoulliBandit(BatchedBandit):
    """Bernoulli bandits of many runs."""

    def __init__(self, settings: BernoulliBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds, ("problem", "noise"))
        # A copy: the sample is a view of a whole block of the stream, all of which a saved state would hold.
        self._set_means(self._streams["problem"].uniform(settings.arms).clone())

    def _sample_reward(self, mean: Tensor) -> Tensor:
        return (self._streams["noise"].uniform(self.num_envs) < mean).to(self.dtype)
