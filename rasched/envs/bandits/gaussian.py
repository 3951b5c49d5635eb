"""A bandit with normally distributed means and rewards, as in the ten-armed testbed of Sutton & Barto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from rasched.envs.bandits.base import BanditSettings, BatchedBandit
from rasched.envs.base import ENVS


@ENVS.register("gaussian")
@dataclass(frozen=True, kw_only=True)
class GaussianBanditSettings(BanditSettings):
    r"""Settings of a bandit whose arm a pays rewards from :math:`N(\mu_a, \sigma^2)`.

    The means :math:`\mu_a` are drawn once per run from a normal distribution with mean ``mean`` and standard deviation
    ``mean_std``; :math:`\sigma` is ``reward_std``. ``mean=4.0`` with the other defaults is the testbed of Sutton &
    Barto (2018), figure 2.5.
    """

    mean: float = 0.0
    mean_std: Annotated[float, Ge(0)] = 1.0
    reward_std: Annotated[float, Ge(0)] = 1.0

    def make(self, seeds: Sequence[int]) -> GaussianBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""
        return GaussianBandit(self, seeds)


class GaussianBandit(BatchedBandit):
    """Gaussian bandits of many runs."""

    def __init__(
        self, settings: GaussianBanditSettings, seeds: Sequence[int], stream_names: Sequence[str] = ()
    ) -> None:
        super().__init__(settings, seeds, ("problem", "noise", *stream_names))
        self._mean, self._mean_std, self._reward_std = settings.mean, settings.mean_std, settings.reward_std
        self._sample_means()

    def _sample_means(self) -> None:
        self._set_means(self._streams["problem"].normal(self.num_actions) * self._mean_std + self._mean)

    def _sample_reward(self, mean: Tensor) -> Tensor:
        # Not fused (torch.addcmul): whether that rounds once or twice depends on the compiler and on the loop.
        return mean + self._streams["noise"].normal(self.num_envs) * self._reward_std
