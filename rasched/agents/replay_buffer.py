"""What happened, kept to be learnt from again: one ring of transitions a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rasched.rng import RandomStreams


class Transitions(NamedTuple):
    """Rows of a replay; each tensor of shape ``(runs, rows)`` or ``(runs, rows, inputs)``."""

    observation: Tensor
    following: Tensor  # the observation after the step, before any reset
    action: Tensor  # int64
    reward: Tensor
    goes_on: Tensor  # 0 where the step ended the episode for good, 1 otherwise (a time limit is no end)


class ReplayBuffer:
    """Rings of the last ``capacity`` transitions, all runs' in one tensor, a transition in one row of it."""

    def __init__(self, seeds: Sequence[int], capacity: int, inputs: int, dtype: torch.dtype) -> None:
        self._streams = RandomStreams(seeds, "agent/replay")
        self._inputs, self._capacity = inputs, capacity
        self._rows = torch.zeros(len(seeds), capacity, 2 * inputs + 3, dtype=dtype)
        self._ring = self._rows.numpy()  # the same memory: NumPy writes a few numbers in a tenth of torch's time
        self._first = torch.arange(len(seeds)).unsqueeze(1) * capacity  # of each run, in the rings laid end to end
        self._added = 0

    def __len__(self) -> int:
        """Return how many transitions a run holds."""
        return min(self._added, self._capacity)

    def add(self, observation: Tensor, following: Tensor, action: Tensor, reward: Tensor, terminated: Tensor) -> None:
        """Keep one transition a copy, shapes ``(runs, num_envs)`` and ``(runs, num_envs, inputs)``; the oldest go."""
        d, following_too = self._inputs, 2 * self._inputs
        goes_on = ~terminated
        columns = [x.numpy() for x in (observation, following, action, reward, goes_on)]
        for copy in range(action.shape[1]):
            row = self._ring[:, self._added % self._capacity]
            row[:, :d], row[:, d:following_too] = columns[0][:, copy], columns[1][:, copy]
            for place, column in enumerate(columns[2:], following_too):
                row[:, place] = column[:, copy]  # whole numbers of actions are exact in floats
            self._added += 1

    def draw(self, batches: int, rows: int) -> list[Transitions]:
        """Return transitions drawn with replacement, each run's by its own stream."""
        place = (self._streams.uniform(batches, rows) * len(self)).long() + self._first.unsqueeze(2)
        flat, runs, d = self._rows.flatten(0, 1), len(self._rows), self._inputs
        drawn = []
        for batch in place.unbind(1):
            x = flat.index_select(0, batch.flatten()).view(runs, rows, -1)
            numbers = x[..., 2 * d :].unbind(-1)
            drawn.append(Transitions(x[..., :d], x[..., d : 2 * d], numbers[0].long(), numbers[1], numbers[2]))
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """Return what is held, and how far the streams have been drawn."""
        return {
            "rows": self._rows[:, : len(self)].clone(),
            "added": self._added,
            "streams": self._streams.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._added = state["added"]
        self._rows[:, : len(self)] = state["rows"]
        self._streams.load_state_dict(state["streams"])
