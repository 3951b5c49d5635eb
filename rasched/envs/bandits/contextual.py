"""A Gaussian bandit that shows a context before each pull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import sqrt
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from rasched.envs.bandits.gaussian import GaussianBandit, GaussianBanditSettings
from rasched.envs.base import ENVS
from rasched.memory import check_memory


@ENVS.register("contextual")
@dataclass(frozen=True, kw_only=True)
class ContextualBanditSettings(GaussianBanditSettings):
    r"""Settings of a bandit whose best arm depends on a context that is observed before each pull.

    A context x is d = ``features`` numbers from the uniform distribution on [-1, 1). Arm a pays rewards from
    N(mean_a, reward_std^2) with

        mean_a = mean + mean_std \sqrt{3 / d} \sum_j w_{aj} x_j

    and weights w that are drawn once per run from N(0, 1). Since the variance of x_j is 1/3, ``mean``, ``mean_std`` and
    ``reward_std`` mean the same as in the Gaussian bandit. On average over contexts all arms are equal: a policy that
    ignores the context earns ``mean``.
    """

    features: Annotated[int, Ge(1)] = 4

    def make(self, seeds: Sequence[int]) -> ContextualBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""
        return ContextualBandit(self, seeds)


class ContextualBandit(GaussianBandit):
    """Contextual bandits of many runs. Each of a run's environments has a context of its own.

    ``observation`` is the context of the next pull, shape ``(num_runs, num_envs, features)``. For that context,
    ``means`` has shape ``(num_runs, num_envs, arms)`` and ``best_arm`` ``(num_runs, num_envs)``.
    """

    def __init__(self, settings: ContextualBanditSettings, seeds: Sequence[int]) -> None:
        num_products = len(seeds) * settings.num_envs * settings.arms * settings.features
        check_memory("env.features times env.arms times env.num_envs", num_products * 8 * 2)
        self.observation_shape = (settings.features,)
        super().__init__(settings, seeds, ("context",))

    def load_problem(self, problem: Tensor) -> None:
        """Continue with the arms of another bandit of one run."""
        self._weights = problem
        self._advance_means()

    def _problem(self) -> Tensor:
        return self._weights

    def state_dict(self) -> dict[str, Any]:
        """Return the context, the means for that context, and the position in each random stream."""
        return {**super().state_dict(), "observation": self.observation}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a bandit with the same settings and seeds."""
        super().load_state_dict(state)
        self.observation = state["observation"]

    def _sample_means(self) -> None:
        weights = self._streams["problem"].normal(1, self.num_actions, *self.observation_shape)
        self._weights = weights * (self._mean_std * sqrt(3 / self.observation_shape[0]))
        self._advance_means()

    def _advance_means(self) -> None:
        self.observation = self._streams["context"].uniform(self.num_envs, *self.observation_shape) * 2 - 1
        products = self._weights * self.observation.unsqueeze(2)
        # Not a matrix product: from about 60 features on, its order of addition depends on the number of runs.
        self._set_means(reduce(torch.add, products.unbind(3)) + self._mean)

    def _set_means(self, means: Tensor) -> None:
        self.means = means
        self._best_mean = means.amax(2)

    def _mean_of(self, action: Tensor) -> Tensor:
        return self.means.gather(2, action.unsqueeze(2)).squeeze(2)
