"""Keep fewer values than were recorded: those that reach the event file, and the means that draw a curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

MAX_POINTS = 1_000  # TensorBoard draws this many points of a series by default


def log_interval(every: int | Literal["auto"], steps: int | None) -> int:
    """Return the steps between two logged rows; ``"auto"`` keeps some 1,000 rows of a run of known length."""
    if every == "auto":
        return 1 if steps is None else max(1, -(-steps // MAX_POINTS))
    if every < 1:
        raise ValueError(f"logger.log_every must be 'auto' or at least 1, got {every}")
    return every


class Downsampler:
    """Keeps the first row, each row that reaches or passes a multiple of ``every``, and rare values.

    A value is rare if its column had none in the row before: evaluations are kept in full, whatever the interval.
    Passing a multiple counts as reaching it, because an agent that records once in 512 steps would otherwise be kept at
    common multiples only. The result depends on rows, not on chunks: flushing a live run changes nothing.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._last_multiple = -1
        self._was_present: NDArray[np.bool_] | None = None

    def keep(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Continue with the next rows, steps ``(n,)`` and values ``(n, columns[, runs])``; return a mask of values."""
        multiples = steps // self.every
        is_due = np.diff(multiples, prepend=self._last_multiple) != 0
        present = ~np.isnan(values)
        present_before = np.zeros_like(present)
        present_before[1:] = present[:-1]
        if self._was_present is not None:
            present_before[0, : len(self._was_present)] = self._was_present  # a new column had no value before
        self._last_multiple, self._was_present = int(multiples[-1]), present[-1]
        kept: NDArray[np.bool_] = present & (is_due.reshape(-1, *[1] * (values.ndim - 1)) | ~present_before)
        return kept


@dataclass(frozen=True)
class CurveMeans:
    """Means of some columns over intervals of ``length`` steps; the step of an interval is its end."""

    names: tuple[str, ...]
    length: int

    def end(self, step: Any) -> Any:
        """Return the end of the interval that contains a step: of an array, or of a column's expression."""
        return (step - 1) // self.length * self.length + self.length

    def means(self, steps: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        """Return the means of columns ``(..., rows)`` at steps ``(rows,)``.

        The result has ``step``, shape ``(points,)``, and each column's means, shape ``(..., points)``.

        NaN is no value; an interval without a value has NaN.
        """
        ends = self.end(steps)
        starts = np.flatnonzero(np.diff(ends, prepend=0))
        points: dict[str, NDArray[Any]] = {"step": ends[starts]}
        for name in self.names:
            if name in columns:
                values = columns[name]
                is_present = ~np.isnan(values)
                total = np.add.reduceat(np.where(is_present, values, 0.0), starts, axis=-1)
                with np.errstate(invalid="ignore"):
                    points[name] = total / np.add.reduceat(is_present.astype(np.int64), starts, axis=-1)
        return points
