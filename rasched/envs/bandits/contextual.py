"""The bandit that shows a hint before each pull."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from rasched.envs.bandits.gaussian import GaussianBandit, GaussianBanditSettings
from rasched.envs.base import ENVS
from rasched.validation import check_number


@ENVS.register("contextual")
@dataclass(frozen=True, kw_only=True)
class ContextualBanditSettings(GaussianBanditSettings):
    r"""Before each pull a context is shown, and which arm is best depends on it.

    A context x is d = ``features`` numbers drawn evenly from [-1, 1); arm a pays N(mean_a, noise) with

        mean_a = mean + mean_std \sqrt{3 / d} \sum_j w_{aj} x_j

    where the problem draws the weights w from N(0, 1). So ``mean``, ``mean_std`` and ``reward_std`` mean the same as
    in the Gaussian bandit (x_j has variance 1/3), but no arm is better on average: who ignores x earns ``mean``.
    """

    features: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("env.features", self.features, "at least 1", lambda v: v >= 1)

    def make(self, seeds: Sequence[int]) -> ContextualBandit:
        """Return one bandit a seed."""
        return ContextualBandit(self, seeds)


class ContextualBandit(GaussianBandit):
    """Contextual bandits of many runs; each copy sees a context of its own.

    ``observation`` is the context of the next pull, shape ``(runs, num_envs, features)``; ``means`` has shape
    ``(runs, num_envs, arms)`` and ``best`` ``(runs, num_envs)``, both for that context.
    """

    def __init__(self, settings: ContextualBanditSettings, seeds: Sequence[int]) -> None:
        self.observation_shape = (settings.features,)
        super().__init__(settings, seeds, ("context",))

    def state_dict(self) -> dict[str, Any]:
        """Return the context shown, the means that follow from it, and how far each stream has been drawn."""
        return {**super().state_dict(), "observation": self.observation}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of a bandit with the same settings and seeds."""
        super().load_state_dict(state)
        self.observation = state["observation"]

    def _redraw(self) -> None:
        weights = self._streams["problem"].normal(1, self.num_actions, *self.observation_shape)
        self._weights = weights * (self._spread * sqrt(3 / self.observation_shape[0]))
        self._move()

    def _move(self) -> None:
        self.observation = self._streams["context"].uniform(self.num_envs, *self.observation_shape) * 2 - 1
        products = self._weights * self.observation.unsqueeze(2)
        # Not a matrix product: from some 60 features on, its order of addition is another for one run than for two.
        self._set_means(reduce(torch.add, products.unbind(3)) + self._level)

    def _set_means(self, means: Tensor) -> None:
        self.means = means
        self._best_mean = means.amax(2)

    def _mean(self, action: Tensor) -> Tensor:
        return self.means.gather(2, action.unsqueeze(2)).squeeze(2)
