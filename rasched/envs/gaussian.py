"""The bandit of the textbook's testbed: normal means, normal noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rasched.envs.bandit import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS
from rasched.registry import number


@ENVS.register("gaussian")
@dataclass(frozen=True, kw_only=True)
class GaussianBandit(BanditSettings):
    """Arm a pays N(mean_a, noise), and the problem draws each mean_a from N(mean, spread), both standard deviations.

    ``mean=4.0`` with the other defaults is the testbed of Sutton & Barto (2018), figure 2.5.
    """

    mean: float = 0.0
    spread: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("env.mean", self.mean, "finite", lambda v: True)
        number("env.spread", self.spread, "at least 0", lambda v: v >= 0)
        number("env.noise", self.noise, "at least 0", lambda v: v >= 0)

    def make(self, seeds: Sequence[int]) -> BatchedGaussian:
        """Return one bandit a seed."""
        return BatchedGaussian(self, seeds)


class BatchedGaussian(BatchedBandit):
    """Gaussian bandits of many runs."""

    def __init__(self, settings: GaussianBandit, seeds: Sequence[int], purposes: Sequence[str] = ()) -> None:
        super().__init__(settings, seeds, ("problem", "noise", *purposes))
        self._level, self._spread, self._noise = settings.mean, settings.spread, settings.noise
        self._redraw()

    def _redraw(self) -> None:
        self._set_means(self._streams["problem"].normal(self.num_actions) * self._spread + self._level)

    def _reward(self, mean: Tensor) -> Tensor:
        # Product and sum apart: whether a fused operation rounds once or twice is the compiler's choice, loop by loop.
        return mean + self._streams["noise"].normal(self.copies) * self._noise
