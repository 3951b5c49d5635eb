"""Where a recorder's rows go: live for one run, at once for many."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rasched.records.downsampling import CurveMeans, Downsampler
from rasched.records.journal import Journal, read_journal
from rasched.records.metrics import METRICS, frame, read_metrics, trim_empty, write_metrics
from rasched.records.scores import scores
from rasched.records.tensorboard.event_file import EventFile, scalars
from rasched.records.tensorboard.summaries import LR_VS_REWARD_LAYOUT

Steps = NDArray[np.int64]  # (rows,)
Values = NDArray[np.float64]  # (rows, columns, runs)
Times = NDArray[np.float64]  # (rows,), seconds since the epoch

TILE = 64  # runs turned from rows to columns at a time: the copy stays small


@dataclass(frozen=True)
class Image:
    """A picture for a run's event file, and when it was taken; ``size`` is (width, height)."""

    tag: str
    step: int
    encoded: bytes
    size: tuple[int, int]
    wall_time: float


@dataclass(frozen=True)
class TensorBoardLabels:
    """What TensorBoard is told of each run beside its scalars."""

    runs: int
    hparams: Sequence[Mapping[str, float | str | bool]] | None = None
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, values in (("hparams", self.hparams), ("groups", self.groups)):
            if values is not None and len(values) != self.runs:
                raise ValueError(f"{name} must be given for each of the {self.runs} runs, got {len(values)}")

    def open(self, folder: Path, run: int, wall_time: float | None = None) -> EventFile:
        """Start a run's event file, in place of those that an earlier try left."""
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        events = EventFile(folder, wall_time)
        events.layout([LR_VS_REWARD_LAYOUT])
        if self.hparams is not None:
            events.hparams(self.hparams[run], self.groups[run] if self.groups else None)
        return events


def _spoken(found: Mapping[str, NDArray[np.float64]], run: int) -> dict[str, float]:
    """One run's scores as plain numbers, those without a value left out."""
    return {name: float(values[run]) for name, values in found.items() if not np.isnan(values[run])}


def _show(events: EventFile, image: Image) -> None:
    events.image(image.tag, image.step, image.encoded, image.size, image.wall_time)


class StreamingWriter:
    """One run: a journal and the event file grow as it goes; the table takes the journal's place at the end."""

    def __init__(self, folder: Path, thinning: Downsampler | None, labels: TensorBoardLabels, after: int) -> None:
        """Start anew, or behind step `after` of the records that are there."""
        self.folder = folder
        self.names, steps, values = _records_until(folder, after)
        self._thinning = thinning
        self._last: tuple[Steps, Times, Values] | None = None
        self._journal = Journal(folder, self.names, steps, values[:, :, 0])
        (folder / METRICS).unlink(missing_ok=True)  # the journal is the record from here on
        self._events = labels.open(folder, 0) if thinning else None
        if len(steps):
            self._log(steps, np.full(len(steps), time.time()), values)
        self.flush()

    def widen(self, names: Sequence[str]) -> None:
        """Make room for new columns."""
        self.names += names
        self._journal.add_columns(names)

    def write(self, steps: Steps, times: Times, values: Values) -> None:
        """Append rows to the journal, all or none, and have the event file take them."""
        self._journal.append(steps, values[:, :, 0])
        self._log(steps, times, values)

    def flush(self) -> None:
        """Write what the event file has taken."""
        if self._events:
            self._events.flush()

    def _log(self, steps: Steps, times: Times, values: Values) -> None:
        if not (self._thinning and self._events):
            return
        keep = self._thinning.keep(steps, values)
        _append(self._events, self.names, steps, times, values[:, :, 0], keep[:, :, 0])
        self._last = steps[-1:], times[-1:], np.where(keep[-1:], np.nan, values[-1:])

    def image(self, run: int, image: Image) -> None:
        """Have the event file take a picture."""
        if self._events:
            _show(self._events, image)

    def sync(self) -> None:
        """Wait for the disk."""
        self._journal.sync()

    def close(self) -> list[dict[str, float]]:
        """Put the table in the journal's place, complete the event file, and score the run."""
        self._journal.close()
        names, steps, values = read_journal(self._journal.path)
        steps, columns = trim_empty(steps, dict(zip(names, values.T, strict=True)))
        found = _spoken(scores({name: column[:, None] for name, column in columns.items()}), 0)
        if self._events and self._last:
            last_steps, last_times, rest = self._last  # the last row is logged, on the grid or not
            _append(self._events, self.names, last_steps, last_times, rest[:, :, 0], ~np.isnan(rest[:, :, 0]))
            self._events.append(last_steps, {f"score/{name}": [value] for name, value in found.items()}, last_times)
        if self._events:
            self._events.close()
        write_metrics(self.folder, frame(steps, columns))
        self._journal.path.unlink()
        return [found]


def _records_until(folder: Path, after: int) -> tuple[list[str], Steps, Values]:
    """Read what a run recorded up to a step; nothing for step 0."""
    if after == 0:
        return [], np.empty(0, np.int64), np.empty((0, 0, 1))
    table = read_metrics(folder).filter(pl.col("step") <= after)
    if table.is_empty() or table["step"][-1] != after:
        raise ValueError(f"{folder} holds no records up to step {after}, so the run cannot carry on from there")
    names = table.columns[1:]
    values = np.stack([table[name].fill_null(np.nan).to_numpy() for name in names], axis=1)
    return names, table["step"].to_numpy(), values[:, :, None]


def _append(
    events: EventFile,
    names: Sequence[str],
    steps: Steps,
    times: Times,
    values: NDArray[np.float64],
    keep: NDArray[np.bool_],
) -> None:
    """Log what is kept of one run's rows, values and keep of shape (rows, columns)."""
    rows = keep.any(axis=1)
    thinned = np.where(keep[rows], values[rows], np.nan).T
    events.append(steps[rows], dict(zip(names, thinned, strict=True)), times[rows])


class BulkWriter:
    """Many runs: rows wait in memory, and each run's files are written in one go at the end."""

    def __init__(
        self,
        folders: Sequence[Path],
        thinning: Downsampler | None,
        labels: TensorBoardLabels,
        curves: CurveMeans | None = None,
    ) -> None:
        """Nothing is written before :meth:`close`, which fills ``means``, one a run, where there are to be curves."""
        self.folders = folders
        self.means: list[dict[str, NDArray[Any]]] = []
        self._curves = curves
        self.names: list[str] = []
        self._thinning = thinning
        self._labels = labels
        self._chunks: list[tuple[Steps, Times, Values]] = []
        self._images: dict[int, list[Image]] = {}

    def widen(self, names: Sequence[str]) -> None:
        """Make room for new columns."""
        self.names += names

    def write(self, steps: Steps, times: Times, values: Values) -> None:
        """Keep the rows; the recorder gives the arrays away."""
        self._chunks.append((steps, times, values))

    def image(self, run: int, image: Image) -> None:
        """Keep a picture for the event file."""
        if self._thinning:
            self._images.setdefault(run, []).append(image)

    def flush(self) -> None:
        """Nothing is on its way to the disk yet."""

    sync = flush

    def close(self) -> list[dict[str, float]]:
        """Write and score all runs, some at a time."""
        steps = np.concatenate([chunk[0] for chunk in self._chunks] or [np.empty(0, np.int64)])
        times = np.concatenate([chunk[1] for chunk in self._chunks] or [np.empty(0)])
        found: list[dict[str, float]] = []
        for start in range(0, len(self.folders), TILE):
            runs = range(start, min(start + TILE, len(self.folders)))
            found += self._write_tile(runs, steps, times)
        self._chunks.clear()
        return found

    def _write_tile(self, runs: range, steps: Steps, times: Times) -> list[dict[str, float]]:
        values = np.full((len(self.names), len(runs), len(steps)), np.nan)  # each run's column in one piece
        row = 0
        for _, _, chunk in self._chunks:
            part = chunk[:, :, runs.start : runs.stop].transpose(1, 2, 0)
            values[: len(part), :, row : row + part.shape[2]] = part
            row += part.shape[2]
        whole = dict(zip(self.names, values, strict=True))  # each of shape (runs, rows)
        scored = scores({name: column.T for name, column in whole.items()})
        if self._thinning:
            self._write_events(self._thinning, runs, steps, times, values, scored)
        if self._curves and len(steps):
            points = self._curves.of(steps, whole)
            ends = points.pop("step")
            of_run = ({name: means[place] for name, means in points.items()} for place in range(len(runs)))
            self.means += [{"step": ends, **means} for means in of_run]
        for place, run in enumerate(runs):
            columns = dict(zip(self.names, values[:, place], strict=True))
            write_metrics(self.folders[run], frame(*trim_empty(steps, columns)))
        return [_spoken(scored, place) for place in range(len(runs))]

    def _write_events(
        self,
        thinning: Downsampler,
        runs: range,
        steps: Steps,
        times: Times,
        values: NDArray[np.float64],
        scored: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Write the event files of some runs: values of shape (columns, runs, rows), scores of shape (runs,)."""
        rows = finals = [b""] * len(runs)
        if len(steps):
            present = ~np.isnan(values)
            used: NDArray[np.bool_] = np.any(present, axis=0)  # (runs, rows)
            keep = Downsampler(thinning.every).keep(steps, values.transpose(2, 0, 1)).transpose(1, 2, 0)
            ends = len(steps) - 1 - np.argmax(used[:, ::-1], axis=1)
            each = np.arange(len(runs))
            keep[:, each, ends] = present[:, each, ends]  # a run's last row is logged, on the grid or not
            rows = scalars(steps, dict(zip(self.names, np.where(keep, values, np.nan), strict=True)), times)
            finals = _finals(steps[ends], times[ends], scored)
        for place, run in enumerate(runs):
            events = self._labels.open(self.folders[run], run, times[0] if len(times) else None)
            events.extend(rows[place])
            for image in self._images.get(run, ()):
                _show(events, image)
            events.extend(finals[place])
            events.close()


def _finals(steps: Steps, times: Times, scored: Mapping[str, NDArray[np.float64]]) -> list[bytes]:
    """Return the events with the scores of runs that ended at these steps and times; all of shape (runs,)."""
    events = [b""] * len(steps)
    for step in np.unique(steps) if scored else ():
        runs = np.flatnonzero(steps == step)
        columns = {f"score/{name}": values[runs, None] for name, values in scored.items()}
        for run, its_events in zip(runs, scalars([step], columns, times[runs[0]]), strict=True):
            events[run] = its_events
    return events
