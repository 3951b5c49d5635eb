"""A rollout's rows in random order, cut into minibatches, each run's by its own stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rasched.streams import Streams


class Batch(NamedTuple):
    """Rows of a rollout, each tensor of shape ``(runs, rows, ...)``."""

    observation: Tensor
    action: Tensor
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    value: Tensor


class Minibatches:
    """Shuffles ``rows`` rows a run for each epoch, and cuts them every ``size``; the last cut may be smaller."""

    def __init__(self, seeds: Sequence[int], rows: int, size: int) -> None:
        self._streams = Streams(seeds, "agent/minibatch")
        self._rows, self._size = rows, min(size, rows)
        self._first = torch.arange(len(seeds)).unsqueeze(1) * rows  # of each run, in the runs laid end to end
        self.count = -(-rows // self._size)

    def epoch(self, rows: Batch) -> Iterator[Batch]:
        """Yield the minibatches of one epoch."""
        if self.count == 1:
            yield rows  # the order within a minibatch is no matter
            return
        order = self._streams.uniform(self._rows).contiguous().argsort(1).add_(self._first).flatten()
        shuffled = [x.flatten(0, 1).index_select(0, order).view(x.shape) for x in rows]
        for start in range(0, self._rows, self._size):
            yield Batch(*(x[:, start : start + self._size] for x in shuffled))

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
