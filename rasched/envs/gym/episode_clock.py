"""Count the steps of episodes against a time limit."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasched.envs.gym.backend import Array


class EpisodeClock:
    """Counts the steps of each environment's episode, and says which episodes a limit truncates.

    ``limit`` is in steps, None for none. Truncated episodes must be begun anew in the same step.
    """

    def __init__(self, num_envs: int, limit: int | None) -> None:
        self._limit = limit or inf
        self._start: NDArray[np.int64] = np.zeros(num_envs, np.int64)
        self._time = 0
        # No episode is truncated before this step. It is a lower bound, so most steps need not look at each episode.
        self._next_truncation = self._limit

    def tick(self) -> NDArray[np.bool_] | None:
        """Count one step of every environment, and return which episodes end by it, ``(num_envs,)``, or None."""
        self._time += 1
        if self._time < self._next_truncation:
            return None
        is_truncated: NDArray[np.bool_] = self._time - self._start >= self._limit
        self._next_truncation = np.where(is_truncated, self._time, self._start).min() + self._limit
        return is_truncated

    def begin(self, env_indices: Array | list[int]) -> None:
        """Begin an episode of each of these environments."""
        self._start[env_indices] = self._time

    def is_first_step(self) -> NDArray[np.bool_]:
        """Return which environments have made one step of their episode, ``(num_envs,)``."""
        is_first: NDArray[np.bool_] = self._start == self._time - 1
        return is_first

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps each episode has had."""
        return {"episode_steps": torch.from_numpy(self._time - self._start)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from a saved state."""
        self._start = -state["episode_steps"].numpy()
        self._time = 0
        self._next_truncation = self._start.min() + self._limit
