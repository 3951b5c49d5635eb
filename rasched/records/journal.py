"""The journal of a run that is in progress, ``metrics.jsonl``: one JSON object per row, readable after any kill.

A row is ``{"step":3,"train/reward":0.5,...,"crc":2774936402}``. A column without a value is left out, except that the
first row of a new column has null, so that the order of columns is kept. An infinite value is written as 1e999, which
JSON readers take for infinity. Lines are only appended, so a kill leaves whole lines and at most one that is cut short.

``crc`` is the CRC-32 of the line up to there, continued from the line before. So a line that was changed, lost or moved
is found, and nothing after it is used.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasched.records.files import open_to_append, sync_folder, write_file

JOURNAL = "metrics.jsonl"
_ROW_START, _CRC_KEY = b'{"step":', b',"crc":'


@dataclass(frozen=True)
class JournalRows:
    """The rows of a journal up to the first damage: steps ``(rows,)`` and values ``(rows, columns)``.

    ``damaged_line`` is the number of the first damaged line, from 1, or None. A last line that was cut short is not
    damaged, but what a kill leaves.
    """

    names: list[str]
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    damaged_line: int | None = None

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return the columns by name, each of shape ``(rows,)``."""
        return dict(zip(self.names, self.values.T, strict=True))


def read_journal(path: str | Path) -> JournalRows:
    """Read all rows up to the first damaged line. Raises FileNotFoundError if there is no journal."""
    rows: list[dict[str, Any]] = []
    *lines, rest = Path(path).read_bytes().split(b"\n")  # what a kill left of a line, or nothing
    crc, step, damaged_line = 0, 0, None
    for number, line in enumerate(lines, 1):
        row = _parse_row(line, crc, step)
        if row is None:
            damaged_line = number
            break
        crc, step = row.pop("crc"), row["step"]
        rows.append(row)
    if damaged_line is None and not _ROW_START.startswith(rest[: len(_ROW_START)]):
        damaged_line = len(lines) + 1
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "step"]
    steps = np.array([row.pop("step") for row in rows], np.int64)
    values = np.array([[row.get(name) for name in names] for row in rows], np.float64)  # None becomes NaN
    return JournalRows(names, steps, values.reshape(len(rows), len(names)), damaged_line)


def _parse_row(line: bytes, crc: int, last_step: int) -> dict[str, Any] | None:
    """Return the row of a line, or None if the line is damaged."""
    content, key, checksum = line.rpartition(_CRC_KEY)
    if not key or checksum != b"%d}" % zlib.crc32(content, crc):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    is_row = type(row.get("step")) is int and row["step"] > last_step
    return row if is_row and all(v is None or type(v) in (int, float) for v in row.values()) else None


class Journal:
    """Append-only journal in a run's folder."""

    def __init__(
        self,
        folder: str | Path,
        names: Sequence[str] = (),
        steps: NDArray[np.int64] | None = None,
        values: NDArray[np.float64] | None = None,
    ) -> None:
        """Start a journal, with earlier rows (as in :meth:`append`) if a run continues; replaces one that is there."""
        self.path = Path(folder) / JOURNAL
        self._keys: dict[str, str] = {}
        self._num_introduced = 0  # columns that some row has named
        self._crc = 0
        self.add_columns(names)
        write_file(self.path, b"" if steps is None or values is None else self._encode(steps, values))
        self._file = open_to_append(self.path)

    @property
    def names(self) -> list[str]:
        """The columns in order."""
        return list(self._keys)

    def add_columns(self, names: Sequence[str]) -> None:
        """Add columns; the rows before have no value there."""
        self._keys |= {name: f",{json.dumps(name)}:" for name in names}

    def append(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Write rows, steps of shape ``(rows,)`` and values of shape ``(rows, columns)``, all or none."""
        before = self._crc, self._num_introduced
        data = self._encode(steps, values)
        start = self._file.tell()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:  # a full disk: a part of a row must not stay in the middle
            self._file.truncate(start)
            self._file.seek(start)
            self._crc, self._num_introduced = before
            raise

    def _encode(self, steps: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
        keys, lines = list(self._keys.values()), []
        for step, row in zip(steps.tolist(), values.tolist(), strict=True):
            cells = [
                key + _number(value)
                for column, (key, value) in enumerate(zip(keys, row, strict=True))
                if value == value or column >= self._num_introduced
            ]
            self._num_introduced = len(keys)
            content = f'{{"step":{step}{"".join(cells)}'.encode()
            self._crc = zlib.crc32(content, self._crc)
            lines.append(b"%b%b%d}\n" % (content, _CRC_KEY, self._crc))
        return b"".join(lines)

    def sync(self) -> None:
        """Wait until the rows are on the disk, for a checkpoint that relies on them after a power cut."""
        os.fsync(self._file.fileno())
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Close the file, which stays."""
        self._file.close()


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "null" if value != value else "1e999" if value > 0 else "-1e999"
