"""Record the metrics of a batch of runs, as files in each run's folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rasched.records.batch_rows import BatchRowsFile, Steps, Times, Values
from rasched.records.downsampling import CurveMeans, Downsampler, log_interval
from rasched.records.writers import BulkWriter, Image, ScoresWriter, StreamingWriter, TensorBoardLabels

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_BYTES = 32 << 20  # page faults cost more than the copying: pieces this large get huge pages
FLUSH_SECONDS = 1.0  # of the monotonic clock: setting the clock back must not stop the flushing


class MetricsWriter(Protocol):
    """Takes chunks of rows and makes files of them."""

    names: list[str]
    checksums: list[int]

    def add_columns(self, names: Sequence[str]) -> None:
        """Add columns; the rows before have no value there."""

    def write(self, steps: Steps, times: Times, values: Values) -> None:
        """Take rows; the caller does not use the arrays afterwards."""

    def add_image(self, run: int, image: Image) -> None:
        """Take an image for a run's event file."""

    def flush(self) -> None:
        """Pass the rows so far to the operating system."""

    def sync(self) -> None:
        """Wait until the rows are on the disk."""

    def close(self) -> list[dict[str, float]]:
        """Complete the files, and return the scores of each run."""


class Recorder:
    """Collects columns of one run or many, and writes `metrics.parquet` and an event file in each run's folder.

    One run is written continuously: rows reach a journal and the event file about once a second (at every step, if
    steps are slow), so a kill loses a second of records. Many runs are written at :meth:`close`, in bulk.

    As a context manager it closes at the end of the block, also after an error.
    """

    def __init__(
        self,
        folders: Sequence[str | Path],
        *,
        steps: int | None = None,
        every: int | Literal["auto"] | None = "auto",
        hparams: Sequence[Mapping[str, float | str | bool]] | None = None,
        groups: Sequence[str] | None = None,
        after: int = 0,
        curves: CurveMeans | None = None,
        rows_file: BatchRowsFile | None = None,
        only_scores: bool = False,
    ) -> None:
        """Open the records of one run per folder; folders that do not exist are created.

        `steps` is the length of the runs, if known, for `every="auto"`, which keeps some 1,000 rows in the event file.
        A number is the steps between two kept rows (the first, the last and rare values are always kept), and None
        means no event file. `hparams` are the runs' rows in TensorBoard's HParams table, and `groups` are names that
        join runs (seeds) to one row. Many runs have the means of `curves` in :attr:`means` once their files are
        complete.

        With `after`, recording continues after this step: earlier rows are kept and later ones removed. Those of many
        runs are in `rows_file`, to which a durable :meth:`flush` writes. Otherwise records that exist are replaced.
        With `only_scores` no folder is created and no file of a run is written: :meth:`close` returns the scores.
        Raises ValueError if arguments contradict one another, and CheckpointError if the rows up to `after` are missing
        or damaged.
        """
        if after and len(folders) != 1 and not (rows_file and rows_file.end):
            raise ValueError(f"to continue {len(folders)} runs after step {after}, give the file of their rows")
        paths = [Path(folder) for folder in folders]
        for path in () if only_scores else paths:
            path.mkdir(parents=True, exist_ok=True)
        downsampler = None if every is None else Downsampler(log_interval(every, steps))
        labels = TensorBoardLabels(len(paths), hparams, groups)
        self.runs = len(paths)
        self._is_streaming = len(paths) == 1 and rows_file is None and not only_scores
        self._writer: MetricsWriter
        if self._is_streaming:
            self._writer = StreamingWriter(paths[0], downsampler, labels, after)
        elif only_scores:
            self._writer = ScoresWriter(paths, None, labels, None, rows_file)
        else:
            self._writer = BulkWriter(paths, downsampler, labels, curves, rows_file)
        self._column_index = {name: index for index, name in enumerate(self._writer.names)}
        self._last_step = after
        self._last_flush = self._last_record = time.monotonic()
        self._scores: list[dict[str, float]] | None = None
        self._allocate()

    def _allocate(self) -> None:
        """Start a chunk of rows."""
        width = len(self._column_index) * self.runs
        self._size = max(64, min(4096, CHUNK_BYTES // (8 * max(1, width))))
        self._values = np.empty((self._size, len(self._column_index), self.runs))
        self._steps = np.empty(self._size, np.int64)
        self._times = np.empty(self._size)
        self._row = 0

    def record(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
        """Take one step's values: by name (`train/reward`, ...) a tensor of shape (runs,), or a float for all runs.

        Steps (environment steps so far) must increase, or a ValueError says so. NaN, or a name left out, is no value;
        new names may come at any step.
        """
        if step <= self._last_step:
            raise ValueError(f"steps must increase, got step {step} after {self._last_step}")
        if self._row == self._size:
            self.flush()
        row = self._row
        try:
            self._fill(self._values[row], columns)
        except KeyError:
            self._add_columns(columns)
            row = self._row
            self._fill(self._values[row], columns)
        self._steps[row] = self._last_step = step
        self._times[row] = time.time()
        self._row = row + 1
        if self._is_streaming:
            now = time.monotonic()
            # Slow steps are written one by one: a flush is cheap compared with them, and nothing is lost meanwhile.
            if now - self._last_flush > FLUSH_SECONDS or now - self._last_record > FLUSH_SECONDS / 10:
                self.flush()
            self._last_record = now

    def _fill(self, values: NDArray[np.float64], columns: Mapping[str, Tensor | float]) -> None:
        index = self._column_index
        if len(columns) < len(index):
            values[:] = np.nan
        for name, value in columns.items():
            # A tensor's own conversion (`__array__`) costs more, and refuses one that requires grad.
            values[index[name]] = value if type(value) is float else _array(value)

    def _add_columns(self, columns: Mapping[str, Any]) -> None:
        self.flush()
        new = [name for name in columns if name not in self._column_index]
        self._column_index |= {name: len(self._column_index) + i for i, name in enumerate(new)}
        self._writer.add_columns(new)
        self._allocate()

    def add_image(self, run: int, tag: str, encoded: bytes, size: tuple[int, int]) -> None:
        """Add an image at the last step of one run's event file, if there is one.

        It is encoded as PNG, JPEG or (animated) GIF, of ``size`` (width, height).
        """
        self._writer.add_image(run, Image(tag, self._last_step, encoded, size, time.time()))

    def flush(self, durable: bool = False) -> None:
        """Write the rows so far; those of a single run then survive a kill.

        `durable` waits for the disk, also for many runs with a rows file: a checkpoint relies on these rows, even after
        a power cut.
        """
        if self._row:
            rows = slice(self._row)
            self._writer.write(self._steps[rows], self._times[rows], self._values[rows])
            self._allocate()  # before flushing: if that fails, the rows are not written twice
        self._writer.flush()
        self._last_flush = time.monotonic()
        if durable:
            self._writer.sync()

    def close(self) -> list[dict[str, float]]:
        """Write everything that is not written yet, and score each run (:func:`rasched.records.scores.scores`).

        Scores without a value are left out; the others are also in the event file at the last step, as
        `whole_run/...`. A second call returns the same, or no scores if the first one failed.
        """
        if self._scores is None:
            self._scores = [{} for _ in range(self.runs)]
            self.flush()
            self._scores = self._writer.close()
        return self._scores

    @property
    def checksums(self) -> list[int]:
        """The CRC-32 of each run's `metrics.parquet`, once it is written."""
        return self._writer.checksums

    @property
    def means(self) -> list[dict[str, NDArray[Any]]]:
        """`step` and each curve's means, shape (points,), of every run; nothing for a single run."""
        return self._writer.means if isinstance(self._writer, BulkWriter) else []

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _array(value: Tensor | float) -> NDArray[np.float64] | float:
    if isinstance(value, (int, float)):
        return value
    array: NDArray[np.float64] = value.numpy(force=True)
    return array
