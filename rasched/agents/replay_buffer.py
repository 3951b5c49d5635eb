"""Replay buffer: the last transitions of each run, sampled with replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from rasched.agents.mlp import Array
from rasched.memory import check_memory
from rasched.rng import RandomStreams


class Transitions(NamedTuple):
    """A minibatch; arrays of shape ``(num_runs, num_rows)``, or ``(num_runs, num_inputs + 1, num_rows)``."""

    inputs: Array  # the observations, and a last one that is always 1
    next_inputs: Array  # the same after the step, before any reset
    action: Array
    reward: Array
    not_terminated: Array  # 0 if the step terminated the episode, otherwise 1 (a time limit does not terminate it)

    def select(self, rows: slice) -> Transitions:
        """Return some of the rows."""
        return Transitions(*(array[..., rows] for array in self))


class ReplayBuffer:
    """A ring of the last ``capacity`` transitions per run, one row per transition, all runs in one array."""

    def __init__(self, seeds: Sequence[int], capacity: int, num_inputs: int, dtype: torch.dtype) -> None:
        self._streams = RandomStreams(seeds, "agent/replay")
        self._num_inputs, self._capacity = num_inputs, capacity
        check_memory("agent.buffer_size", len(seeds) * capacity * (2 * num_inputs + 5) * dtype.itemsize)
        self._rows: Array = torch.zeros(len(seeds), capacity, 2 * num_inputs + 5, dtype=dtype).numpy()
        self._first_row = np.arange(len(seeds))[:, None] * capacity  # of each run, if all rings are concatenated
        self._num_added = 0

    def __len__(self) -> int:
        """Return the number of transitions per run."""
        return min(self._num_added, self._capacity)

    def add(self, observation: Array, next_observation: Array, action: Array, reward: Array, terminated: Array) -> None:
        """Add one transition per environment; the oldest are overwritten.

        Observations have shape ``(num_runs, num_envs, num_inputs)``, the others ``(num_runs, num_envs)``.
        """
        size = self._num_inputs
        for env_index in range(action.shape[1]):
            row = self._rows[:, self._num_added % self._capacity]
            row[:, :size] = observation[:, env_index]
            row[:, size + 1 : -4] = next_observation[:, env_index]
            row[:, size] = row[:, -4] = 1
            row[:, -3] = action[:, env_index]  # a float holds the number of an action exactly
            row[:, -2] = reward[:, env_index]
            row[:, -1] = ~terminated[:, env_index]
            self._num_added += 1

    def sample(self, num_batches: int, num_rows: int) -> Transitions:
        """Return rows sampled with replacement, each run's from its own random stream: batch after batch."""
        position = (self._streams.uniform(num_batches, num_rows).numpy() * len(self)).astype(np.int64)
        index = position.reshape(len(position), -1) + self._first_row
        rows = self._rows.reshape(-1, self._rows.shape[2]).take(index, 0)
        table = np.ascontiguousarray(rows.swapaxes(1, 2))
        middle = self._num_inputs + 1
        return Transitions(table[:, :middle], table[:, middle:-3], table[:, -3], table[:, -2], table[:, -1])

    def state_dict(self) -> dict[str, Any]:
        """Return the transitions and the position of the random stream."""
        return {
            "rows": torch.from_numpy(self._rows[:, : len(self)].copy()),
            "added": self._num_added,
            "streams": self._streams.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._num_added = state["added"]
        self._rows[:, : len(self)] = state["rows"].numpy()
        self._streams.load_state_dict(state["streams"])
