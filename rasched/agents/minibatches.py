"""Shuffled minibatches of a rollout; each run has its own random stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rasched.rng import RandomStreams


class Batch(NamedTuple):
    """Rows of a rollout, each tensor of shape ``(num_runs, num_rows, ...)``."""

    observation: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    value: Tensor


class Minibatches:
    """Shuffles ``num_rows`` rows per run for each epoch and splits them; the last minibatch may be smaller.

    With ``normalize_advantage`` the advantages of each minibatch have mean 0 and standard deviation 1, run by run.
    """

    def __init__(self, seeds: Sequence[int], num_rows: int, size: int, normalize_advantage: bool = False) -> None:
        self._streams = RandomStreams(seeds, "agent/minibatch")
        self._normalize_advantage = normalize_advantage
        self._num_rows, self._size = num_rows, min(size, num_rows)
        self._first_row = torch.arange(len(seeds)).unsqueeze(1) * num_rows  # of each run, if all rows are concatenated
        self.count = -(-num_rows // self._size)

    def epochs(self, rows: Batch, count: int) -> Iterator[list[Batch]]:
        """Yield the list of minibatches of one epoch after another."""
        if self.count == 1:
            whole = [rows._replace(advantage=self._normalize(rows.advantage))]  # the order of its rows does not matter
            yield from [whole] * count
            return
        for _ in range(count):
            order = self._streams.uniform(self._num_rows).contiguous().argsort(1).add_(self._first_row).flatten()
            shuffled = Batch(*(x.flatten(0, 1).index_select(0, order).view(x.shape) for x in rows))
            shuffled = shuffled._replace(advantage=self._normalize(shuffled.advantage))
            yield [Batch(*parts) for parts in zip(*map(self._split, shuffled), strict=True)]

    def _split(self, rows: Tensor) -> list[Tensor]:
        return [rows[:, start : start + self._size] for start in range(0, self._num_rows, self._size)]

    def _normalize(self, advantage: Tensor) -> Tensor:
        """Return an epoch's advantages as the loss uses them, ``(num_runs, num_rows)``."""
        if not self._normalize_advantage:
            return advantage
        whole = self._num_rows // self._size * self._size  # minibatches of equal size at once
        cut = advantage[:, :whole].reshape(-1, self._size)
        even = standardize(cut).view(len(advantage), whole)
        return even if whole == self._num_rows else torch.cat([even, standardize(advantage[:, whole:])], 1)

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


def standardize(advantage: Tensor) -> Tensor:
    """Return advantages ``(..., num_rows)`` less their mean, divided by their standard deviation (n - 1).

    A single row stays as it is.
    """
    num_rows = advantage.shape[-1]
    if num_rows < 2:
        return advantage
    centred = advantage - advantage.sum(-1, keepdim=True) / num_rows
    deviation = ((centred * centred).sum(-1, keepdim=True) / (num_rows - 1)).sqrt()
    return centred / (deviation + 1e-8)
