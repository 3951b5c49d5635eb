"""The bandit of the textbook's testbed: normal means, normal noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS
from rasched.validation import check_number


@ENVS.register("gaussian")
@dataclass(frozen=True, kw_only=True)
class GaussianBanditSettings(BanditSettings):
    """Arm a pays N(mean_a, noise), and the problem draws each mean_a from N(mean, spread), both standard deviations.

    ``mean=4.0`` with the other defaults is the testbed of Sutton & Barto (2018), figure 2.5.
    """

    mean: float = 0.0
    mean_std: float = 1.0
    reward_std: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("env.mean", self.mean, "finite", lambda v: True)
        check_number("env.mean_std", self.mean_std, "at least 0", lambda v: v >= 0)
        check_number("env.reward_std", self.reward_std, "at least 0", lambda v: v >= 0)

    def make(self, seeds: Sequence[int]) -> GaussianBandit:
        """Return one bandit a seed."""
        return GaussianBandit(self, seeds)


class GaussianBandit(BatchedBandit):
    """Gaussian bandits of many runs."""

    def __init__(
        self, settings: GaussianBanditSettings, seeds: Sequence[int], stream_names: Sequence[str] = ()
    ) -> None:
        super().__init__(settings, seeds, ("problem", "noise", *stream_names))
        self._level, self._spread, self._noise = settings.mean, settings.mean_std, settings.reward_std
        self._redraw()

    def _redraw(self) -> None:
        self._set_means(self._streams["problem"].normal(self.num_actions) * self._spread + self._level)

    def _reward(self, mean: Tensor) -> Tensor:
        # Product and sum apart: whether a fused operation rounds once or twice is the compiler's choice, loop by loop.
        return mean + self._streams["noise"].normal(self.num_envs) * self._noise
