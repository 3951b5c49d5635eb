"""The bandit of hits and misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS


@ENVS.register("bernoulli")
@dataclass(frozen=True, kw_only=True)
class BernoulliBanditSettings(BanditSettings):
    """Arm a pays 1 with probability p_a and else 0; the problem draws each p_a evenly from [0, 1)."""

    def make(self, seeds: Sequence[int]) -> BernoulliBandit:
        """Return one bandit a seed."""
        return BernoulliBandit(self, seeds)


class BernoulliBandit(BatchedBandit):
    """Bernoulli bandits of many runs."""

    def __init__(self, settings: BernoulliBanditSettings, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds, ("problem", "noise"))
        # The draw is a view of a whole block of the stream: kept as such, a saved state would hold all of it.
        self._set_means(self._streams["problem"].uniform(settings.arms).clone())

    def _reward(self, mean: Tensor) -> Tensor:
        return (self._streams["noise"].uniform(self.num_envs) < mean).to(self.dtype)
