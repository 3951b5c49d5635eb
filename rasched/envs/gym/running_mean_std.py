"""Running mean and variance of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasched.envs.gym.backend import Array

# Standard deviations. This, epsilon and the initial count are those of VecNormalize in Stable-Baselines3.
CLIP = 10.0
_EPSILON = 1e-8
_INITIAL_COUNT = 1e-4


class RunningMeanStd:
    """Mean and variance of all values so far, float64 of shape ``(num_runs, *shape)``."""

    def __init__(self, num_runs: int, shape: Sequence[int]) -> None:
        self.mean: NDArray[np.float64] = np.zeros((num_runs, *shape))
        self.variance: NDArray[np.float64] = np.ones((num_runs, *shape))
        self._count = _INITIAL_COUNT

    def select_run(self, run_index: int) -> RunningMeanStd:
        """Return a copy of the statistics of one run."""
        stats = RunningMeanStd(1, self.mean.shape[1:])
        stats.mean, stats.variance, stats._count = self.mean[[run_index]], self.variance[[run_index]], self._count
        return stats

    @classmethod
    def from_state(cls, state: Mapping[str, Any] | None) -> RunningMeanStd | None:
        """Return the statistics of a saved state; None if there is none."""
        if state is None:
            return None
        stats = cls(len(state["mean"]), state["mean"].shape[1:])
        stats.load_state_dict(state)
        return stats

    def update(self, values: Array) -> None:
        """Add values ``(num_runs, num_envs, *shape)``, by the parallel algorithm of Chan et al. (1979)."""
        num_envs = values.shape[1]
        mean = _sum_over_envs(values) / num_envs
        variance = _sum_over_envs(np.square(values - mean[:, None])) / num_envs
        delta = mean - self.mean
        total = self._count + num_envs
        squares = self.variance * self._count + variance * num_envs
        squares = squares + np.square(delta) * (self._count * num_envs / total)
        self.mean = self.mean + delta * (num_envs / total)
        self.variance = squares / total
        self._count = total

    def standardize(self, values: Array) -> Array:
        """Return ``(values - mean) / std``, clipped to +-10, for values ``(num_runs, num_envs, *shape)``."""
        return self._clip((values - self.mean[:, None]) / self._std())

    def divide_by_std(self, values: Array) -> Array:
        """Return ``values / std``, clipped to +-10."""
        return self._clip(values / self._std())

    def _std(self) -> Array:
        std: Array = np.sqrt(self.variance + _EPSILON)[:, None]
        return std

    def _clip(self, values: Array) -> Array:
        clipped: Array = np.clip(values, -CLIP, CLIP).astype(np.float32)
        return clipped

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics."""
        return {"mean": torch.from_numpy(self.mean), "variance": torch.from_numpy(self.variance), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from saved statistics."""
        self.mean, self.variance = state["mean"].numpy().copy(), state["variance"].numpy().copy()
        self._count = state["count"]


def _sum_over_envs(values: Array) -> NDArray[np.float64]:
    # Not NumPy's own sum: its order of addition depends on the memory layout, so on the number of runs.
    total = values[:, 0].astype(np.float64)
    for env_index in range(1, values.shape[1]):
        total += values[:, env_index]
    return total
