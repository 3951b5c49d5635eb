"""The rows of a batch that is in progress, in one file for all its runs, so that the batch can be resumed.

The rows of many runs are written as files of each run only at the end. Until then a checkpoint appends the rows since
the last one to this file: each row is written once, while rows inside the checkpoints would be written again each time.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rasched.errors import CheckpointError
from rasched.records.files import create_file, open_to_append, sync_folder

Steps: TypeAlias = NDArray[np.int64]  # (rows,)
Values: TypeAlias = NDArray[np.float64]  # (rows, columns, runs)
Times: TypeAlias = NDArray[np.float64]  # (rows,), seconds since the epoch
_HEADER = struct.Struct("<4sIQQQI")  # magic, bytes of the names, rows, columns, runs, checksum of what follows
_MAGIC = b"rows"


class BatchRowsFile:
    """An append-only file of rows, which is opened at its first use."""

    def __init__(self, path: Path, end: int = 0) -> None:
        """Write after the first ``end`` bytes of an existing file; 0 starts a new one."""
        self.path = path
        self.end = end
        self._is_new = not end

    def append(self, names: Sequence[str], steps: Steps, times: Times, values: Values) -> None:
        """Write rows, all or none, and wait until they are on the disk."""
        encoded_names = json.dumps(list(names)).encode()
        parts = [encoded_names, steps.tobytes(), times.tobytes(), np.ascontiguousarray(values).tobytes()]
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        header = _HEADER.pack(_MAGIC, len(encoded_names), *values.shape, crc)
        file = create_file(self.path) if self._is_new else open_to_append(self.path)
        with file:
            self._is_new = False
            file.truncate(self.end)
            for part in (header, *parts):
                view = memoryview(part).cast("B")
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())
            end = file.tell()
        sync_folder(self.path.parent)
        self.end = end

    def delete(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def read_batch_rows(path: Path, end: int) -> Iterator[tuple[list[str], Steps, Times, Values]]:
    """Yield names, steps, times and values of each part in the first ``end`` bytes.

    Raises CheckpointError if the file is missing, cut short or changed.
    """
    try:
        with path.open("rb") as file:
            while file.tell() < end:
                yield _read_part(file.read(_HEADER.size), file)
            if file.tell() != end:
                raise ValueError
    except (OSError, ValueError, struct.error) as error:
        raise CheckpointError(
            f"{path} does not hold the rows that the checkpoint beside it relies on (it was cut short or changed):"
            " move both away to train these runs from the start"
        ) from error


def _read_part(header: bytes, file: BinaryIO) -> tuple[list[str], Steps, Times, Values]:
    magic, names_size, num_rows, num_columns, num_runs, crc = _HEADER.unpack(header)
    size = names_size + 8 * num_rows * (2 + num_columns * num_runs)
    if magic != _MAGIC or size > os.fstat(file.fileno()).st_size:
        raise ValueError
    content = file.read(size)
    if len(content) != size or zlib.crc32(content) != crc:
        raise ValueError
    names: list[str] = json.loads(content[:names_size])
    numbers = content[names_size:]
    steps = np.frombuffer(numbers, np.int64, num_rows)
    times = np.frombuffer(numbers, np.float64, num_rows, 8 * num_rows)
    values = np.frombuffer(numbers, np.float64, num_rows * num_columns * num_runs, 16 * num_rows)
    return names, steps, times, values.reshape(num_rows, num_columns, num_runs)
