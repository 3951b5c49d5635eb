"""Write rows to files: continuously for one run, at the end for many."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rasched.errors import CheckpointError, DamagedFileError
from rasched.records.batch_rows import BatchRowsFile, Steps, Times, Values, read_batch_rows
from rasched.records.downsampling import CurveMeans, Downsampler
from rasched.records.journal import Journal, read_journal
from rasched.records.metrics import METRICS, read_metrics, to_frame, trim_empty, write_metrics
from rasched.records.scores import scores
from rasched.records.tensorboard.event_file import EventFile, scalars
from rasched.records.tensorboard.summaries import LR_VS_REWARD_LAYOUT
from rasched.records.tensorboard.tags import column_tag, score_tag

_WAY_OUT = "move its checkpoint away to train it from the start"
RUNS_PER_COPY = 64  # runs transposed from rows to columns at a time, so that the copy stays small


@dataclass(frozen=True)
class Image:
    """An image for a run's event file, and the time when it was made; ``size`` is (width, height)."""

    tag: str
    step: int
    encoded: bytes
    size: tuple[int, int]
    wall_time: float


@dataclass(frozen=True)
class TensorBoardLabels:
    """What TensorBoard shows of each run beside its scalars."""

    runs: int
    hparams: Sequence[Mapping[str, float | str | bool]] | None = None
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name, values in (("hparams", self.hparams), ("groups", self.groups)):
            if values is not None and len(values) != self.runs:
                raise ValueError(f"{name} must be given for each of the {self.runs} runs, got {len(values)}")

    def open(self, folder: Path, run: int, wall_time: float | None = None) -> EventFile:
        """Start a run's event file, in place of those of an earlier attempt."""
        for event_file in folder.glob("events.out.tfevents.*"):
            event_file.unlink()
        events = EventFile(folder, wall_time)
        events.layout([LR_VS_REWARD_LAYOUT])
        if self.hparams is not None:
            events.hparams(self.hparams[run], self.groups[run] if self.groups else None)
        return events


def _scores_of_run(scores_by_name: Mapping[str, NDArray[np.float64]], run: int) -> dict[str, float]:
    """Return one run's scores as plain numbers, without those that have no value."""
    return {name: float(values[run]) for name, values in scores_by_name.items() if not np.isnan(values[run])}


def _append_image(events: EventFile, image: Image) -> None:
    events.image(image.tag, image.step, image.encoded, image.size, image.wall_time)


class StreamingWriter:
    """Writes one run: the journal and the event file grow with it; at the end the table replaces the journal."""

    def __init__(self, folder: Path, downsampler: Downsampler | None, labels: TensorBoardLabels, after: int) -> None:
        """Start new files, or continue after step ``after`` of those that exist."""
        self.folder = folder
        self.names, steps, values = _records_until(folder, after)
        self._downsampler = downsampler
        self._last: tuple[Steps, Times, Values] | None = None
        self.checksums: list[int] = []
        self._journal = Journal(folder, self.names, steps, values[:, :, 0])
        (folder / METRICS).unlink(missing_ok=True)  # from here on the journal has the rows
        self._events = labels.open(folder, 0) if downsampler else None
        if len(steps):
            self._log(steps, np.full(len(steps), time.time()), values)
        self.flush()

    def add_columns(self, names: Sequence[str]) -> None:
        """Add columns; the rows before have no value there."""
        self.names += names
        self._journal.add_columns(names)

    def write(self, steps: Steps, times: Times, values: Values) -> None:
        """Append rows to the journal, all or none, and pass them to the event file."""
        self._journal.append(steps, values[:, :, 0])
        self._log(steps, times, values)

    def flush(self) -> None:
        """Write the rows that the event file has taken."""
        if self._events:
            self._events.flush()

    def _log(self, steps: Steps, times: Times, values: Values) -> None:
        if not (self._downsampler and self._events):
            return
        keep = self._downsampler.keep(steps, values)
        _append(self._events, self.names, steps, times, values[:, :, 0], keep[:, :, 0])
        self._last = steps[-1:], times[-1:], np.where(keep[-1:], np.nan, values[-1:])

    def add_image(self, run: int, image: Image) -> None:
        """Pass an image to the event file."""
        if self._events:
            _append_image(self._events, image)

    def sync(self) -> None:
        """Wait for the disk."""
        self._journal.sync()

    def close(self) -> list[dict[str, float]]:
        """Replace the journal by the table, complete the event file, and score the run."""
        self._journal.close()
        rows = read_journal(self._journal.path)
        steps, columns = trim_empty(rows.steps, rows.columns())
        run_scores = _scores_of_run(scores({name: column[:, None] for name, column in columns.items()}), 0)
        if self._events and self._last:
            last_steps, last_times, not_logged = self._last  # the last row is always logged
            _append(
                self._events, self.names, last_steps, last_times, not_logged[:, :, 0], ~np.isnan(not_logged[:, :, 0])
            )
            self._events.append(
                last_steps, {score_tag(name): [value] for name, value in run_scores.items()}, last_times
            )
        if self._events:
            self._events.close()
        self.checksums = [write_metrics(self.folder, to_frame(steps, columns))]
        self._journal.path.unlink()
        return [run_scores]


def _records_until(folder: Path, after: int) -> tuple[list[str], Steps, Values]:
    """Read what a run recorded up to a step; nothing for step 0. Raises CheckpointError if that is incomplete."""
    if after == 0:
        return [], np.empty(0, np.int64), np.empty((0, 0, 1))
    try:
        table = read_metrics(folder).filter(pl.col("step") <= after)
    except (FileNotFoundError, DamagedFileError) as error:
        raise CheckpointError(f"{error}, so the run cannot continue after step {after}; {_WAY_OUT}") from error
    if table.is_empty() or table["step"][-1] != after:
        raise CheckpointError(
            f"{folder} holds no records up to step {after}, so the run cannot continue after it; {_WAY_OUT}"
        )
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
    """Append the kept values of one run's rows; ``values`` and ``keep`` have shape ``(rows, columns)``."""
    rows = keep.any(axis=1)
    kept_values = np.where(keep[rows], values[rows], np.nan).T
    events.append(steps[rows], dict(zip(map(column_tag, names), kept_values, strict=True)), times[rows])


class BulkWriter:
    """Writes many runs: rows stay in memory, and each run's files are written at the end."""

    def __init__(
        self,
        folders: Sequence[Path],
        downsampler: Downsampler | None,
        labels: TensorBoardLabels,
        curves: CurveMeans | None = None,
        rows_file: BatchRowsFile | None = None,
    ) -> None:
        """Write nothing before :meth:`close`, which sets ``means``, one per run, if there are ``curves``.

        The first :meth:`sync` after rows came writes them to ``rows_file``, if there is one, whose rows are read first.
        """
        self.folders = folders
        self.means: list[dict[str, NDArray[Any]]] = []
        self._curves = curves
        self.names: list[str] = []
        self._downsampler = downsampler
        self._labels = labels
        self._chunks: list[tuple[Steps, Times, Values]] = []
        self._images: dict[int, list[Image]] = {}
        self._rows_file = rows_file
        self._num_saved = 0  # chunks in the rows file
        self.checksums: list[int] = []
        if rows_file is not None and rows_file.end:
            for names, steps, times, values in read_batch_rows(rows_file.path, rows_file.end):
                self.names = names
                self._chunks.append((steps, times, values))
            self._num_saved = len(self._chunks)

    def add_columns(self, names: Sequence[str]) -> None:
        """Add columns; the rows before have no value there."""
        self.names += names

    def write(self, steps: Steps, times: Times, values: Values) -> None:
        """Keep the rows; the recorder does not use the arrays afterwards."""
        self._chunks.append((steps, times, values))

    def add_image(self, run: int, image: Image) -> None:
        """Keep an image for the event file."""
        if self._downsampler:
            self._images.setdefault(run, []).append(image)

    def flush(self) -> None:
        """Do nothing: no row is on its way to the disk."""

    def sync(self) -> None:
        """Write the rows since the last call to the rows file, and wait until they are on the disk."""
        if self._rows_file is not None:
            for chunk in self._chunks[self._num_saved :]:
                names = self.names[: chunk[2].shape[1]]
                self._rows_file.append(names, *chunk)
                self._num_saved += 1

    def close(self) -> list[dict[str, float]]:
        """Write and score all runs, some at a time."""
        steps = np.concatenate([chunk[0] for chunk in self._chunks] or [np.empty(0, np.int64)])
        times = np.concatenate([chunk[1] for chunk in self._chunks] or [np.empty(0)])
        run_scores: list[dict[str, float]] = []
        for start in range(0, len(self.folders), RUNS_PER_COPY):
            runs = range(start, min(start + RUNS_PER_COPY, len(self.folders)))
            run_scores += self._write_runs(runs, steps, times)
        self._chunks.clear()
        return run_scores

    def _write_runs(self, runs: range, steps: Steps, times: Times) -> list[dict[str, float]]:
        values = self._values_of(runs, len(steps))
        by_name = dict(zip(self.names, values, strict=True))  # each of shape (runs, rows)
        scores_by_name = scores({name: column.T for name, column in by_name.items()})
        if self._downsampler:
            self._write_events(self._downsampler.every, runs, steps, times, values, scores_by_name)
        if self._curves and len(steps):
            points = self._curves.means(steps, by_name)
            ends = points.pop("step")
            means_of_runs = ({name: means[i] for name, means in points.items()} for i in range(len(runs)))
            self.means += [{"step": ends, **means} for means in means_of_runs]
        for i, run in enumerate(runs):
            run_columns = dict(zip(self.names, values[:, i], strict=True))
            self.checksums.append(write_metrics(self.folders[run], to_frame(*trim_empty(steps, run_columns))))
        return [_scores_of_run(scores_by_name, i) for i in range(len(runs))]

    def _values_of(self, runs: range, num_rows: int) -> NDArray[np.float64]:
        """Return the values of some runs, shape (columns, runs, rows), contiguous for each run and column."""
        values = np.full((len(self.names), len(runs), num_rows), np.nan)
        row = 0
        for _, _, chunk in self._chunks:
            columns = chunk[:, :, runs.start : runs.stop].transpose(1, 2, 0)
            values[: len(columns), :, row : row + columns.shape[2]] = columns
            row += columns.shape[2]
        return values

    def _write_events(
        self,
        log_every: int,
        runs: range,
        steps: Steps,
        times: Times,
        values: NDArray[np.float64],
        scores_by_name: Mapping[str, NDArray[np.float64]],
    ) -> None:
        """Write the event files of some runs: values of shape (columns, runs, rows), scores of shape (runs,)."""
        rows = score_events = [b""] * len(runs)
        if len(steps):
            present = ~np.isnan(values)
            has_values: NDArray[np.bool_] = np.any(present, axis=0)  # (runs, rows)
            keep = Downsampler(log_every).keep(steps, values.transpose(2, 0, 1)).transpose(1, 2, 0)
            ends = len(steps) - 1 - np.argmax(has_values[:, ::-1], axis=1)
            all_runs = np.arange(len(runs))
            keep[:, all_runs, ends] = present[:, all_runs, ends]  # a run's last row is always logged
            by_tag = dict(zip(map(column_tag, self.names), np.where(keep, values, np.nan), strict=True))
            rows = scalars(steps, by_tag, times)
            score_events = _score_events(steps[ends], times[ends], scores_by_name)
        for i, run in enumerate(runs):
            events = self._labels.open(self.folders[run], run, times[0] if len(times) else None)
            events.append_raw(rows[i])
            for image in self._images.get(run, ()):
                _append_image(events, image)
            events.append_raw(score_events[i])
            events.close()


class ScoresWriter(BulkWriter):
    """Scores runs and writes no file of any run; a checkpoint's rows are kept as for :class:`BulkWriter`."""

    def _write_runs(self, runs: range, steps: Steps, times: Times) -> list[dict[str, float]]:
        values = self._values_of(runs, len(steps))
        scored = scores({name: column.T for name, column in zip(self.names, values, strict=True)})
        return [_scores_of_run(scored, i) for i in range(len(runs))]


def _score_events(steps: Steps, times: Times, scores_by_name: Mapping[str, NDArray[np.float64]]) -> list[bytes]:
    """Return the events with the scores of runs that ended at these steps and times; all of shape (runs,)."""
    events = [b""] * len(steps)
    for step in np.unique(steps) if scores_by_name else ():
        runs = np.flatnonzero(steps == step)
        columns = {score_tag(name): values[runs, None] for name, values in scores_by_name.items()}
        for run, run_events in zip(runs, scalars([step], columns, times[runs[0]]), strict=True):
            events[run] = run_events
    return events
