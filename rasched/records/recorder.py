"""Records of a batch of runs: what the loop says once a step, as files in each run's folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rasched.records.downsampling import CurveMeans, Downsampler, log_interval
from rasched.records.writers import BulkWriter, Image, Steps, StreamingWriter, TensorBoardLabels, Times, Values

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_BYTES = 32 << 20  # page faults cost more than the copying: pieces this large get huge pages
FLUSH_SECONDS = 1.0


class MetricsWriter(Protocol):
    """Takes chunks of rows and makes files of them."""

    names: list[str]

    def widen(self, names: Sequence[str]) -> None:
        """Make room for new columns."""

    def write(self, steps: Steps, times: Times, values: Values) -> None:
        """Take rows; the arrays are the sink's from here on."""

    def image(self, run: int, image: Image) -> None:
        """Take a picture for a run's event file."""

    def flush(self) -> None:
        """Hand what was taken to the operating system."""

    def sync(self) -> None:
        """Wait until the rows are on the disk."""

    def close(self) -> list[dict[str, float]]:
        """Complete the files and score the runs."""


class Recorder:
    """Collects columns of one run or many, and leaves `metrics.parquet` and an event file in each run's folder.

    One run is written live: rows reach a journal and the event file about once a second (at every step, if steps are
    slow), so a kill costs a second of records. Many runs are written at :meth:`close`, in bulk.

    As a context manager it closes on the way out, also after an error.
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
    ) -> None:
        """Open the records of as many runs as there are folders, which are made where missing.

        `steps`, the length of the runs where known, is for `every="auto"`, which keeps some 1,000 rows in the event
        file; a number is the steps between two kept rows (the first, the last and rare values are always kept), and
        None means no event file. `hparams` are the runs' rows in TensorBoard's HParams table, and `groups` names that
        join runs (seeds) to one row. With `after`, a single run carries on behind this step: earlier records are kept,
        later ones dropped; otherwise records that are there are replaced. Of many runs, :attr:`means` has the `curves`
        once the files are complete. A ValueError says that these contradict one another, or that there are no records
        to carry on from.
        """
        if after and len(folders) != 1:
            raise ValueError(f"only a single run can carry on from its records, got {len(folders)} runs")
        paths = [Path(folder) for folder in folders]
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
        thinning = None if every is None else Downsampler(log_interval(every, steps))
        labels = TensorBoardLabels(len(paths), hparams, groups)
        self.runs = len(paths)
        self._live = self.runs == 1
        self._sink: MetricsWriter = (
            StreamingWriter(paths[0], thinning, labels, after)
            if self._live
            else BulkWriter(paths, thinning, labels, curves)
        )
        self._index = {name: place for place, name in enumerate(self._sink.names)}
        self._last_step = after
        self._flushed = self._recorded = time.time()
        self._scores: list[dict[str, float]] | None = None
        self._allocate()

    def _allocate(self) -> None:
        """Start a chunk of rows."""
        width = len(self._index) * self.runs
        self._size = max(64, min(4096, CHUNK_BYTES // (8 * max(1, width))))
        self._values = np.empty((self._size, len(self._index), self.runs))
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
            self._widen(columns)
            row = self._row
            self._fill(self._values[row], columns)
        now = time.time()
        self._steps[row] = self._last_step = step
        self._times[row] = now
        self._row = row + 1
        if self._live:
            # Slow steps are written one by one: a flush is cheap against them, and nothing is lost while they last.
            if now - self._flushed > FLUSH_SECONDS or now - self._recorded > FLUSH_SECONDS / 10:
                self.flush()
            self._recorded = now

    def _fill(self, values: NDArray[np.float64], columns: Mapping[str, Tensor | float]) -> None:
        index = self._index
        if len(columns) < len(index):
            values[:] = np.nan
        for name, value in columns.items():
            # A tensor's own conversion (`__array__`) costs more, and refuses one that requires grad.
            values[index[name]] = value if type(value) is float else _array(value)

    def _widen(self, columns: Mapping[str, Any]) -> None:
        self.flush()
        new = [name for name in columns if name not in self._index]
        self._index |= {name: len(self._index) + place for place, name in enumerate(new)}
        self._sink.widen(new)
        self._allocate()

    def image(self, run: int, tag: str, encoded: bytes, size: tuple[int, int]) -> None:
        """Show a picture at the last step of one run's event file, where there is one.

        It is encoded as PNG, JPEG or (animated) GIF, of ``size`` (width, height).
        """
        self._sink.image(run, Image(tag, self._last_step, encoded, size, time.time()))

    def flush(self, durable: bool = False) -> None:
        """Hand the rows so far to the sink; for a single run they are then safe from a kill.

        `durable` waits for the disk: before a checkpoint, whose `after` counts on these rows after a power cut too.
        """
        if self._row:
            rows = slice(self._row)
            self._sink.write(self._steps[rows], self._times[rows], self._values[rows])
            self._allocate()  # the rows are the sink's: should its flush fail, they are not written twice
        self._sink.flush()
        self._flushed = time.time()
        if durable:
            self._sink.sync()

    def close(self) -> list[dict[str, float]]:
        """Write everything that is not written yet, and score each run (:func:`rasched.records.scores.scores`).

        Scores without a value are left out; the others also stand in the event file at the last step, as `score/...`.
        A second call returns the same, or no scores where the first one failed.
        """
        if self._scores is None:
            self._scores = [{} for _ in range(self.runs)]
            self.flush()
            self._scores = self._sink.close()
        return self._scores

    @property
    def means(self) -> list[dict[str, NDArray[Any]]]:
        """`step` and each curve's means, shape (points,), of every run; nothing for a single one."""
        return self._sink.means if isinstance(self._sink, BulkWriter) else []

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
