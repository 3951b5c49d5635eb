"""The bandit of hits and misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rasched.envs.bandit import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS


@ENVS.register("bernoulli")
@dataclass(frozen=True, kw_only=True)
class BernoulliBandit(BanditSettings):
    """Arm a pays 1 with probability p_a and else 0; the problem draws each p_a evenly from [0, 1)."""

    def make(self, seeds: Sequence[int]) -> BatchedBernoulli:
        """Return one bandit a seed."""
        return BatchedBernoulli(self, seeds)


class BatchedBernoulli(BatchedBandit):
    """Bernoulli bandits of many runs."""

    def __init__(self, settings: BernoulliBandit, seeds: Sequence[int]) -> None:
        super().__init__(settings, seeds, ("problem", "noise"))
        # The draw is a view of a whole block of the stream: kept as such, a saved state would hold all of it.
        self._set_means(self._streams["problem"].uniform(settings.arms).clone())

    def _reward(self, mean: Tensor) -> Tensor:
        return (self._streams["noise"].uniform(self.copies) < mean).to(self.dtype)
