"""Random numbers that belong to one run: whatever else is in the batch, and however they are drawn ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from math import prod
from operator import index
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

# Numbers come in pages, each with a counter of its own. So any place in a stream is reached at once, though NumPy's
# normals use up a varying amount of randomness each. The value is part of what a seed means: another is another stream.
_PAGE = 256
_TILE = 64  # runs whose pages fit the cache together


class RandomStreams:
    """One counter-based random stream a run: NumPy's Philox, keyed by the run's seed and a purpose.

    The k-th number of a run depends on its seed, the purpose, the distribution and k alone: not on its neighbours, on
    how many runs there are, on the shapes asked for or on ``block``, the least count of numbers a run that are drawn
    at a time. A tensor that was handed out is never written again. Raises ValueError for empty ``seeds`` or a
    ``block`` under 1, and TypeError for a seed that is no whole number.
    """

    def __init__(self, seeds: Sequence[int], purpose: str, block: int = _PAGE) -> None:
        if not len(seeds):
            raise ValueError("seeds must name at least one run, got none")
        if block < 1:
            raise ValueError(f"block must be at least 1, got {block}")
        self._uniform = _DistributionStream(seeds, purpose, "uniform", block)
        self._normal = _DistributionStream(seeds, purpose, "normal", block)

    def uniform(self, *shape: int) -> Tensor:
        """Return each run's next numbers in [0, 1), float64 of shape ``(runs, *shape)``; runs last in memory."""
        return self._uniform.take(shape)

    def normal(self, *shape: int) -> Tensor:
        """Return each run's next standard normal numbers, float64 of shape ``(runs, *shape)``; runs last in memory."""
        return self._normal.take(shape)

    def state_dict(self) -> dict[str, Any]:
        """Return how many numbers of each distribution every run has taken."""
        return {"uniform": self._uniform.taken, "normal": self._normal.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the state of streams with the same seeds and purpose; the time does not grow with the place."""
        self._uniform.seek(state["uniform"])
        self._normal.seek(state["normal"])


class _DistributionStream:
    """The stream of one distribution, drawn ahead into a ``(numbers, runs)`` buffer and handed out in views of it."""

    def __init__(self, seeds: Sequence[int], purpose: str, distribution: str, block: int) -> None:
        # One generator serves all runs: setting its state costs under 1 us a page, a Philox of its own 9 us.
        self._bits: Any = Philox(key=0)
        generator = Generator(self._bits)
        self._draw: Any = generator.random if distribution == "uniform" else generator.standard_normal
        self._keys = [_key(seed, purpose, distribution) for seed in seeds]
        self._block = block
        self._tile = np.empty((min(len(self._keys), _TILE), _PAGE))
        self.seek(0)

    def seek(self, taken: int) -> None:
        self.taken = taken
        self._end = taken - taken % _PAGE  # of the numbers drawn so far, a whole number of pages
        self._buffer = torch.empty(0, len(self._keys), dtype=torch.float64)
        self._shape: tuple[int, ...] | None = None
        self._views: Iterator[Tensor] = iter(())

    def take(self, shape: tuple[int, ...]) -> Tensor:
        if shape == self._shape:
            view = next(self._views, None)
            if view is not None:
                self.taken += self._size
                return view
        return self._cut(shape)

    def _cut(self, shape: tuple[int, ...]) -> Tensor:
        """Cut one view, or, where a shape comes twice in a row, all that the buffer holds: `unbind` makes it cheap."""
        size = prod(shape)
        while self._end < self.taken + size:
            self._draw_ahead(max(size, self._block))
        left = self._buffer[self.taken - self._end :] if self._end > self.taken else self._buffer[:0]
        count = max(len(left) // size, 1) if shape == self._shape and size else 1
        views = left[: count * size].view(count, *shape, len(self._keys)).movedim(-1, 1)
        self._views = iter(views.unbind(0))
        self._shape, self._size = shape, size
        self.taken += size
        return next(self._views)

    def _draw_ahead(self, at_least: int) -> None:
        """Put further pages behind what is left, in a new buffer: views of the old one stay what they were."""
        pages = -(-at_least // _PAGE)
        left = max(self._end - self.taken, 0)
        buffer = torch.empty(left + pages * _PAGE, len(self._keys), dtype=torch.float64)
        buffer[:left] = self._buffer[len(self._buffer) - left :]
        for rows in buffer[left:].view(pages, _PAGE, -1).unbind(0):
            self._draw_page(self._end // _PAGE, rows)
            self._end += _PAGE
        self._buffer = buffer

    def _draw_page(self, page: int, rows: Tensor) -> None:
        # Generators write along a run, the buffer lies across runs: turned in tiles that stay in the cache.
        for start in range(0, len(self._keys), _TILE):
            keys = self._keys[start : start + _TILE]
            for key, out in zip(keys, self._tile, strict=False):
                self._bits.state = _start_of_page(key, page)
                self._draw(out=out)
            rows[:, start : start + _TILE] = torch.from_numpy(self._tile[: len(keys)]).t()


def _key(seed: int, purpose: str, distribution: str) -> list[int]:
    # A hash, because Philox streams of neighbouring keys are independent but `seed + offset` schemes collide.
    digest = blake2b(f"{index(seed)}/{purpose}/{distribution}".encode(), digest_size=16).digest()
    return [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]


def _start_of_page(key: list[int], page: int) -> dict[str, Any]:
    """Return the generator's state at ``counter = (0, page, 0, 0)``; the first word counts on within the page."""
    return {
        "bit_generator": "Philox",
        "state": {"counter": [0, page, 0, 0], "key": key},
        "buffer": [0, 0, 0, 0],
        "buffer_pos": 4,  # nothing buffered
        "has_uint32": 0,
        "uinteger": 0,
    }
