"""Random numbers of each run, independent of the other runs in the batch."""

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

# Numbers are generated in pages, and each page has its own counter. So any position in a stream is reached at once,
# although NumPy's normals consume a varying amount of randomness each. The value is part of what a seed means: another
# page size would be another stream.
_PAGE = 256
_RUNS_PER_BLOCK = 64  # runs whose pages fit the cache together


class RandomStreams:
    """One counter-based random stream per run: NumPy's Philox, keyed by the run's seed and a purpose.

    The k-th number of a run depends only on its seed, the purpose, the distribution and k. It does not depend on the
    other runs, on their number, on the requested shapes, or on ``block``, the smallest count of numbers per run that is
    generated at a time. A returned tensor is never written again.

    Raises ValueError if ``seeds`` is empty or ``block`` is below 1, and TypeError if a seed is not a whole number.
    """

    def __init__(self, seeds: Sequence[int], purpose: str, block: int = _PAGE) -> None:
        if not len(seeds):
            raise ValueError("seeds must name at least one run, got none")
        if block < 1:
            raise ValueError(f"block must be at least 1, got {block}")
        self._uniform = _DistributionStream(seeds, purpose, "uniform", block)
        self._normal = _DistributionStream(seeds, purpose, "normal", block)

    def uniform(self, *shape: int) -> Tensor:
        """Return each run's next numbers in [0, 1), float64 of shape ``(num_runs, *shape)``; runs last in memory."""
        return self._uniform.draw(shape)

    def normal(self, *shape: int) -> Tensor:
        """Return each run's next standard normals, float64 of shape ``(num_runs, *shape)``; runs last in memory."""
        return self._normal.draw(shape)

    def state_dict(self) -> dict[str, Any]:
        """Return how many numbers of each distribution every run has drawn."""
        return {"uniform": self._uniform.num_drawn, "normal": self._normal.num_drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the state of streams with the same seeds and purpose, in constant time."""
        self._uniform.seek(state["uniform"])
        self._normal.seek(state["normal"])


class _DistributionStream:
    """The stream of one distribution, generated ahead into a ``(numbers, num_runs)`` buffer and returned as views."""

    def __init__(self, seeds: Sequence[int], purpose: str, distribution: str, block: int) -> None:
        # One generator serves all runs: setting its state takes less than 1 us per page, a new Philox takes 9 us.
        self._bit_generator: Any = Philox(key=0)
        generator = Generator(self._bit_generator)
        self._generate: Any = generator.random if distribution == "uniform" else generator.standard_normal
        self._keys = [_key(seed, purpose, distribution) for seed in seeds]
        self._block = block
        self._pages_by_run = np.empty((min(len(self._keys), _RUNS_PER_BLOCK), _PAGE))
        self.seek(0)

    def seek(self, num_drawn: int) -> None:
        self.num_drawn = num_drawn
        self._num_generated = num_drawn - num_drawn % _PAGE  # a whole number of pages
        self._buffer = torch.empty(0, len(self._keys), dtype=torch.float64)
        self._shape: tuple[int, ...] | None = None
        self._views: Iterator[Tensor] = iter(())

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        if shape == self._shape:
            view = next(self._views, None)
            if view is not None:
                self.num_drawn += self._size
                return view
        return self._slice(shape)

    def _slice(self, shape: tuple[int, ...]) -> Tensor:
        """Slice one view, or the whole buffer if a shape comes twice in a row: `unbind` makes views cheap."""
        size = prod(shape)
        while self._num_generated < self.num_drawn + size:
            self._extend_buffer(max(size, self._block))
        num_left = self._num_generated - self.num_drawn
        left = self._buffer[-num_left:] if num_left > 0 else self._buffer[:0]
        num_views = max(len(left) // size, 1) if shape == self._shape and size else 1
        views = left[: num_views * size].view(num_views, *shape, len(self._keys)).movedim(-1, 1)
        self._views = iter(views.unbind(0))
        self._shape, self._size = shape, size
        self.num_drawn += size
        return next(self._views)

    def _extend_buffer(self, at_least: int) -> None:
        """Append pages to what is left, in a new buffer, so that views of the old one keep their values."""
        num_pages = -(-at_least // _PAGE)
        num_left = max(self._num_generated - self.num_drawn, 0)
        buffer = torch.empty(num_left + num_pages * _PAGE, len(self._keys), dtype=torch.float64)
        buffer[:num_left] = self._buffer[len(self._buffer) - num_left :]
        for rows in buffer[num_left:].view(num_pages, _PAGE, -1).unbind(0):
            self._fill_page(self._num_generated // _PAGE, rows)
            self._num_generated += _PAGE
        self._buffer = buffer

    def _fill_page(self, page_index: int, rows: Tensor) -> None:
        # Generators write along a run, the buffer lies across runs: transposed in blocks that stay in the cache.
        for start in range(0, len(self._keys), _RUNS_PER_BLOCK):
            keys = self._keys[start : start + _RUNS_PER_BLOCK]
            for key, page in zip(keys, self._pages_by_run, strict=False):
                self._bit_generator.state = _state_at_page(key, page_index)
                self._generate(out=page)
            rows[:, start : start + _RUNS_PER_BLOCK] = torch.from_numpy(self._pages_by_run[: len(keys)]).t()


def stream_start(seed: float, purpose: str) -> float:
    """Return a whole number below 2**52 that depends on seed and purpose, from which a small generator starts."""
    digest = blake2b(f"{float(seed)!r}/{purpose}".encode(), digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 12)


def _key(seed: int, purpose: str, distribution: str) -> list[int]:
    # A hash, because Philox streams of neighbouring keys are independent but `seed + offset` schemes collide.
    digest = blake2b(f"{index(seed)}/{purpose}/{distribution}".encode(), digest_size=16).digest()
    return [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]


def _state_at_page(key: list[int], page_index: int) -> dict[str, Any]:
    """Return the generator's state at ``counter = (0, page_index, 0, 0)``; the first word counts within the page."""
    return {
        "bit_generator": "Philox",
        "state": {"counter": [0, page_index, 0, 0], "key": key},
        "buffer": [0, 0, 0, 0],
        "buffer_pos": 4,  # nothing buffered
        "has_uint32": 0,
        "uinteger": 0,
    }
