"""The journal of a run that is under way: readable after a kill at any byte.

A line of JSON with the columns' names, padded to a multiple of eight bytes, then rows of one int64 (the step) and one
float64 a column, little-endian. Rows are only ever appended, so whatever a kill leaves is whole rows and perhaps a torn
last one, which readers drop. A new column rewrites the file beside the old one and takes its place by a rename.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

JOURNAL = "metrics.journal"


def _header(names: Sequence[str]) -> bytes:
    line = json.dumps({"format": "rasched journal 1", "columns": list(names)}).encode()
    return line + b" " * (-(len(line) + 1) % 8) + b"\n"


def read_journal(path: str | Path) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
    """Read all whole rows: names of the columns, steps of shape (rows,), values of shape (rows, columns)."""
    with Path(path).open("rb") as file:
        line = file.readline()
        names: list[str] = json.loads(line)["columns"]
        width = 1 + len(names)
        data = file.read()
    rows = np.frombuffer(data, "<i8", count=len(data) // (8 * width) * width).reshape(-1, width)
    return names, rows[:, 0].astype(np.int64), rows[:, 1:].view("<f8").astype(np.float64)


class Journal:
    """Append-only journal in a run's folder; one that is already there is replaced, at once or not at all."""

    def __init__(
        self,
        folder: str | Path,
        names: Sequence[str] = (),
        steps: NDArray[np.int64] | None = None,
        values: NDArray[np.float64] | None = None,
    ) -> None:
        """Start a journal, with earlier rows (as in :meth:`append`) where a run carries on."""
        self.path = Path(folder) / JOURNAL
        self.names = list(names)
        self._file = self._create(b"" if steps is None or values is None else _rows(steps, values))

    def _create(self, rows: bytes) -> BinaryIO:
        temporary = self.path.with_suffix(".journal.new")
        file = temporary.open("wb", buffering=0)
        data = _header(self.names) + rows
        while data:
            data = data[file.write(data) :]
        temporary.replace(self.path)
        return file

    def add_columns(self, names: Sequence[str]) -> None:
        """Widen the rows; those written before have no value (NaN) there."""
        _, steps, values = read_journal(self.path)
        self.names += names
        empty = np.full((len(steps), len(names)), np.nan)
        self._file.close()
        self._file = self._create(_rows(steps, np.hstack([values, empty])))

    def append(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Write rows, steps of shape (rows,) and values of shape (rows, columns), in one call to the system."""
        data = _rows(steps, values)
        start = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:  # a full disk: a torn row in the middle would put all later ones out of step
            self._file.truncate(start)
            self._file.seek(start)
            raise

    def sync(self) -> None:
        """Wait until the rows are on the disk, for a checkpoint that counts on them after a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()


def _rows(steps: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
    rows = np.empty((len(steps), 1 + values.shape[1]), "<f8")
    rows.view("<i8")[:, 0] = steps
    rows[:, 1:] = values
    return rows.tobytes()
