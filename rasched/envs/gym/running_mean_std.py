"""Running mean and variance, each run's over its own copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasched.envs.gym.backend import Array

LIMIT = 10.0  # standard deviations; with epsilon and the first count, the values of Stable-Baselines3's VecNormalize
_EPSILON = 1e-8


class RunningMeanStd:
    """Mean and variance of all values so far, float64 of shape ``(runs, *shape)``."""

    def __init__(self, runs: int, shape: Sequence[int]) -> None:
        self.mean: NDArray[np.float64] = np.zeros((runs, *shape))
        self.variance: NDArray[np.float64] = np.ones((runs, *shape))
        self._count = 1e-4

    def of(self, run: int) -> RunningMeanStd:
        """Return the statistics of one run as they are now."""
        alone = RunningMeanStd(1, self.mean.shape[1:])
        alone.mean, alone.variance, alone._count = self.mean[[run]], self.variance[[run]], self._count
        return alone

    def update(self, values: Array) -> None:
        """Take values ``(runs, num_envs, *shape)``, by the parallel algorithm of Chan et al. (1979)."""
        num_envs = values.shape[1]
        # Added up copy by copy: the order within NumPy's own `mean` depends on the layout of the batch.
        mean = _sum(values) / num_envs
        variance = _sum(np.square(values - mean[:, None])) / num_envs
        delta = mean - self.mean
        total = self._count + num_envs
        squares = (
            self.variance * self._count + variance * num_envs + np.square(delta) * (self._count * num_envs / total)
        )
        self.mean = self.mean + delta * (num_envs / total)
        self.variance = squares / total
        self._count = total

    def standardize(self, values: Array) -> Array:
        """Return values ``(runs, num_envs, *shape)`` less the mean, in standard deviations, clipped at 10 of them."""
        return self._clipped((values - self.mean[:, None]) / self._deviation())

    def rescale(self, values: Array) -> Array:
        """Return values in standard deviations, clipped; their zero stays where it is."""
        return self._clipped(values / self._deviation())

    def _deviation(self) -> Array:
        deviation: Array = np.sqrt(self.variance + _EPSILON)[:, None]
        return deviation

    def _clipped(self, values: Array) -> Array:
        clipped: Array = np.clip(values, -LIMIT, LIMIT).astype(np.float32)
        return clipped

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics."""
        return {"mean": torch.from_numpy(self.mean), "variance": torch.from_numpy(self.variance), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from saved statistics."""
        self.mean, self.variance = state["mean"].numpy().copy(), state["variance"].numpy().copy()
        self._count = state["count"]


def _sum(values: Array) -> NDArray[np.float64]:
    total = values[:, 0].astype(np.float64)
    for copy in range(1, values.shape[1]):
        total += values[:, copy]
    return total
