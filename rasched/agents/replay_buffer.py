"""Replay buffer: the last transitions of each run, sampled with replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rasched.rng import RandomStreams


class Transitions(NamedTuple):
    """A minibatch; tensors of shape ``(num_runs, num_rows)`` or ``(num_runs, num_rows, num_inputs)``."""

    observation: Tensor
    next_observation: Tensor  # after the step, before any reset
    action: Tensor  # int64
    reward: Tensor
    not_terminated: Tensor  # 0 if the step terminated the episode, otherwise 1 (a time limit does not terminate it)


class ReplayBuffer:
    """A ring of the last ``capacity`` transitions per run, one row per transition, all runs in one tensor."""

    def __init__(self, seeds: Sequence[int], capacity: int, num_inputs: int, dtype: torch.dtype) -> None:
        self._streams = RandomStreams(seeds, "agent/replay")
        self._num_inputs, self._capacity = num_inputs, capacity
        self._rows = torch.zeros(len(seeds), capacity, 2 * num_inputs + 3, dtype=dtype)
        self._array = self._rows.numpy()  # the same memory: NumPy writes a few numbers in a tenth of torch's time
        self._first_row = torch.arange(len(seeds)).unsqueeze(1) * capacity  # of each run, if all rings are concatenated
        self._num_added = 0

    def __len__(self) -> int:
        """Return the number of transitions per run."""
        return min(self._num_added, self._capacity)

    def add(
        self, observation: Tensor, next_observation: Tensor, action: Tensor, reward: Tensor, terminated: Tensor
    ) -> None:
        """Add one transition per environment; the oldest are overwritten.

        Observations have shape ``(num_runs, num_envs, num_inputs)``, the others ``(num_runs, num_envs)``.
        """
        middle, end = self._num_inputs, 2 * self._num_inputs
        columns = [x.numpy() for x in (observation, next_observation, action, reward, ~terminated)]
        for env_index in range(action.shape[1]):
            row = self._array[:, self._num_added % self._capacity]
            row[:, :middle], row[:, middle:end] = columns[0][:, env_index], columns[1][:, env_index]
            for column_index, column in enumerate(columns[2:], end):
                row[:, column_index] = column[:, env_index]  # a float holds the number of an action exactly
            self._num_added += 1

    def sample(self, num_batches: int, num_rows: int) -> list[Transitions]:
        """Return minibatches sampled with replacement, each run's from its own random stream."""
        row_index = (self._streams.uniform(num_batches, num_rows) * len(self)).long() + self._first_row.unsqueeze(2)
        flat, num_runs, middle, end = self._rows.flatten(0, 1), len(self._rows), self._num_inputs, 2 * self._num_inputs
        batches = []
        for index in row_index.unbind(1):
            x = flat.index_select(0, index.flatten()).view(num_runs, num_rows, -1)
            action, reward, not_terminated = x[..., end:].unbind(-1)
            batches.append(Transitions(x[..., :middle], x[..., middle:end], action.long(), reward, not_terminated))
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return the transitions and the position of the random stream."""
        return {
            "rows": self._rows[:, : len(self)].clone(),
            "added": self._num_added,
            "streams": self._streams.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._num_added = state["added"]
        self._rows[:, : len(self)] = state["rows"]
        self._streams.load_state_dict(state["streams"])
