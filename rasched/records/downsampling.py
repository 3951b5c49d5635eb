"""Fewer values than there are: those that reach the event file, and means that draw a curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

POINTS = 1_000  # TensorBoard draws this many points of a series unless told otherwise


def log_interval(every: int | Literal["auto"], steps: int | None) -> int:
    """Count the steps between two logged rows; `"auto"` spreads some 1,000 rows over a run of known length."""
    if every == "auto":
        return 1 if steps is None else max(1, -(-steps // POINTS))
    if every < 1:
        raise ValueError(f"logger.log_every must be 'auto' or at least 1, got {every}")
    return every


class Downsampler:
    """Keeps the first row, each row that reaches or passes a multiple of `every`, and what is rare.

    Rare is a value whose column had none in the row before: an evaluation every so often is kept in full, whatever
    the grid. Passing counts as reaching because an agent that records once in 512 steps would otherwise be seen at
    common multiples only. It goes by rows, not by chunks: where a live run flushes changes nothing.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._multiple = -1
        self._before: NDArray[np.bool_] | None = None

    def keep(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Continue with the next rows: steps of shape (n,), values (n, columns[, runs]), mask of the latter's shape."""
        multiples = steps // self.every
        grid = np.diff(multiples, prepend=self._multiple) != 0
        present = ~np.isnan(values)
        before = np.zeros_like(present)
        before[1:] = present[:-1]
        if self._before is not None:
            before[0, : len(self._before)] = self._before  # a column that is new has no value before
        self._multiple, self._before = int(multiples[-1]), present[-1]
        kept: NDArray[np.bool_] = present & (grid.reshape(-1, *[1] * (values.ndim - 1)) | ~before)
        return kept


@dataclass(frozen=True)
class CurveMeans:
    """Columns of which means over stretches of ``length`` steps are kept; the end of a stretch is its step."""

    names: tuple[str, ...]
    length: int

    def end(self, step: Any) -> Any:
        """Return the end of the stretch that a step lies in: of an array, or of a column's expression."""
        return (step - 1) // self.length * self.length + self.length

    def of(self, steps: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        """Return ``step`` (points,) and the means (..., points): of steps (rows,), and of values (..., rows) by name.

        NaN is no value; a stretch without one has NaN.
        """
        ends = self.end(steps)
        starts = np.flatnonzero(np.diff(ends, prepend=0))
        found: dict[str, NDArray[Any]] = {"step": ends[starts]}
        for name in self.names:
            if name in columns:
                values = columns[name]
                there = ~np.isnan(values)
                total = np.add.reduceat(np.where(there, values, 0.0), starts, axis=-1)
                with np.errstate(invalid="ignore"):
                    found[name] = total / np.add.reduceat(there.astype(np.int64), starts, axis=-1)
        return found
