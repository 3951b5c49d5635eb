"""A rollout's rows in random order, cut into minibatches, each run's by its own stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rasched.rng import RandomStreams


class Batch(NamedTuple):
    """Rows of a rollout, each tensor of shape ``(runs, rows, ...)``."""

    observation: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    value: Tensor


class Minibatches:
    """Shuffles ``rows`` rows a run for each epoch, and cuts them every ``size``; the last cut may be smaller.

    With ``standardize`` the advantages of each minibatch have mean 0 and standard deviation 1, run by run.
    """

    def __init__(self, seeds: Sequence[int], rows: int, size: int, standardize: bool = False) -> None:
        self._streams = RandomStreams(seeds, "agent/minibatch")
        self._standardize = standardize
        self._rows, self._size = rows, min(size, rows)
        self._first = torch.arange(len(seeds)).unsqueeze(1) * rows  # of each run, in the runs laid end to end
        self.count = -(-rows // self._size)

    def epochs(self, rows: Batch, count: int) -> Iterator[list[Batch]]:
        """Yield the minibatches of one epoch after another."""
        if self.count == 1:
            whole = [rows._replace(advantage=self._weights(rows.advantage))]  # the order within is no matter
            yield from [whole] * count
            return
        for _ in range(count):
            order = self._streams.uniform(self._rows).contiguous().argsort(1).add_(self._first).flatten()
            shuffled = Batch(*(x.flatten(0, 1).index_select(0, order).view(x.shape) for x in rows))
            shuffled = shuffled._replace(advantage=self._weights(shuffled.advantage))
            yield [Batch(*parts) for parts in zip(*map(self._cut, shuffled), strict=True)]

    def _cut(self, rows: Tensor) -> list[Tensor]:
        return [rows[:, start : start + self._size] for start in range(0, self._rows, self._size)]

    def _weights(self, advantage: Tensor) -> Tensor:
        """Return an epoch's advantages as they go into the loss, ``(runs, rows)``."""
        if not self._standardize:
            return advantage
        whole = self._rows // self._size * self._size  # equal minibatches in one go, the rest by itself
        cut = advantage[:, :whole].reshape(-1, self._size)
        even = standardized(cut).view(len(advantage), whole)
        return even if whole == self._rows else torch.cat([even, standardized(advantage[:, whole:])], 1)

    def skip(self, epochs: int) -> None:
        """Draw the orders of so many epochs that are not wanted."""
        if self.count > 1 and epochs:
            self._streams.uniform(epochs, self._rows)

    def state_dict(self) -> dict[str, Any]:
        """Return how far the streams have been drawn."""
        return self._streams.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._streams.load_state_dict(state)


def standardized(advantage: Tensor) -> Tensor:
    """Return advantages ``(..., rows)`` less their mean, by their standard deviation (n - 1); a single one as it is."""
    rows = advantage.shape[-1]
    if rows < 2:
        return advantage
    centred = advantage - advantage.sum(-1, keepdim=True) / rows
    deviation = ((centred * centred).sum(-1, keepdim=True) / (rows - 1)).sqrt()
    return centred / (deviation + 1e-8)
