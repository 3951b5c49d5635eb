"""Shuffled minibatches of a rollout; each run has its own random stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rasched.agents.mlp import Array
from rasched.rng import RandomStreams


class Batch(NamedTuple):
    """Rows of a rollout; arrays of shape ``(num_runs, num_rows)``, or ``(num_runs, ..., num_rows)``."""

    inputs: Array
    action: Array
    log_prob: Array
    advantage: Array
    returns: Array
    value: Array


class Minibatches:
    """Shuffles ``num_rows`` rows per run for each epoch and splits them; the last minibatch may be smaller.

    With ``normalize_advantage`` the advantages of each minibatch have mean 0 and standard deviation 1, run by run.
    """

    def __init__(self, seeds: Sequence[int], num_rows: int, size: int, normalize_advantage: bool = False) -> None:
        self._streams = RandomStreams(seeds, "agent/minibatch")
        self._normalize_advantage = normalize_advantage
        self._num_rows, self._size = num_rows, min(size, num_rows)
        self._first_row = np.arange(len(seeds))[:, None] * num_rows  # of each run, if all rows are concatenated
        self.count = -(-num_rows // self._size)

    def epochs(self, rollout: Batch, count: int) -> Iterator[list[Batch]]:
        """Yield the list of minibatches of one epoch after another."""
        if self.count == 1:
            yield from [[self._normalize(rollout)]] * count  # the order of its rows does not matter
            return
        table = _pack(rollout)
        flat = table.reshape(-1, table.shape[2])
        for _ in range(count):
            order = self._streams.uniform(self._num_rows).numpy().argsort(1)
            order += self._first_row
            shuffled = flat.take(order.reshape(-1), 0).reshape(table.shape)
            starts = range(0, self._num_rows, self._size)
            yield [self._normalize(_unpack(shuffled[:, start : start + self._size], rollout)) for start in starts]

    def _normalize(self, batch: Batch) -> Batch:
        return batch._replace(advantage=standardize(batch.advantage)) if self._normalize_advantage else batch

    def skip(self, epochs: int) -> None:
        """Draw the orders of epochs that are not used."""
        if self.count > 1 and epochs:
            self._streams.uniform(epochs, self._num_rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the positions of the random streams."""
        return self._streams.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._streams.load_state_dict(state)


def _pack(batch: Batch) -> Array:
    """Return one array ``(num_runs, num_rows, num_columns)``; whole rows are fast to gather."""
    columns = [x if x.ndim == 3 else x[:, None] for x in batch]
    return np.ascontiguousarray(np.concatenate(columns, 1).swapaxes(1, 2))


def _unpack(rows: Array, like: Batch) -> Batch:
    table = np.ascontiguousarray(rows.swapaxes(1, 2))
    num_inputs, width = like.inputs.shape[1], like.action.shape[1]
    first, end = table[:, :num_inputs], num_inputs + width
    return Batch(first, table[:, num_inputs:end], *(table[:, end + i] for i in range(4)))


def standardize(advantage: Array) -> Array:
    """Return advantages ``(..., num_rows)`` less their mean, divided by their standard deviation (n - 1).

    A single row stays as it is.
    """
    num_rows = advantage.shape[-1]
    if num_rows < 2:
        return advantage
    centred = advantage - advantage.sum(-1, keepdims=True) / num_rows
    deviation = np.sqrt((centred * centred).sum(-1, keepdims=True) / (num_rows - 1))
    standardized: Array = centred / (deviation + 1e-8)
    return standardized
