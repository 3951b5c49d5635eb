"""A run's metrics as a table: ``metrics.parquet``, or the journal if the run is in progress or was killed."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PanicException, PolarsError

from rasched.errors import DamagedFileError
from rasched.records.files import write_file
from rasched.records.journal import JOURNAL, read_journal
from rasched.records.run_json import read_record

METRICS = "metrics.parquet"


def to_frame(steps: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> pl.DataFrame:
    """Build the table: ``step`` (int64), then float64 columns, in which NaN (no value) becomes null."""
    series = [pl.Series("step", steps, dtype=pl.Int64)]
    for name, values in columns.items():
        column = pl.Series(name, np.ascontiguousarray(values), dtype=pl.Float64)
        series.append(column.fill_nan(None) if np.isnan(values).any() else column)
    return pl.DataFrame(series)


def trim_empty(
    steps: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Remove the rows after a run's last value, and columns without any value.

    A run that ended before its neighbours has empty rows up to their end, and empty columns if only they record
    something: trained by itself it would have neither.
    """
    ends = {
        name: len(values) - int(np.argmax(~np.isnan(values[::-1])))
        for name, values in columns.items()
        if not np.isnan(values).all()
    }
    end = max(ends.values(), default=0)
    return steps[:end], {name: columns[name][:end] for name in ends}


def write_metrics(folder: str | Path, table: pl.DataFrame) -> int:
    """Write ``metrics.parquet`` whole or not at all, and return its CRC-32; the same numbers give the same bytes."""
    # Statistics help readers to skip parts of large files; here they cost more than they save.
    buffer = io.BytesIO()  # straight to a path polars goes through its query engine, which takes twice as long
    table.write_parquet(buffer, compression="lz4", statistics=False, row_group_size=max(1, len(table)))
    content = buffer.getvalue()
    write_file(Path(folder) / METRICS, content)
    return zlib.crc32(content)


def is_done(folder: Path, config_hash: str) -> bool:
    """Return whether the folder holds the finished run of that configuration, and its table as it was written."""
    record = read_record(folder)
    return record.get("status") == "done" and record.get("config_hash") == config_hash and is_intact(folder)


def is_intact(folder: Path) -> bool:
    """Return whether ``metrics.parquet`` is there, and the one that ``run.json`` tells of."""
    crc32 = read_record(folder).get("metrics_crc32")
    try:
        return crc32 is None or zlib.crc32((folder / METRICS).read_bytes()) == crc32
    except OSError:
        return False


def read_metrics(folder: str | Path) -> pl.DataFrame:
    """Read one run's table, from the journal if there is one.

    Rows of a journal after a damaged line are left out, with a warning. Raises FileNotFoundError if the folder holds
    neither file, and DamagedFileError if the table cannot be read or is not the one that ``run.json`` tells of.
    """
    folder = Path(folder)
    if (folder / JOURNAL).exists():
        rows = read_journal(folder / JOURNAL)
        if rows.damaged_line is not None:
            message = f"{folder / JOURNAL} is damaged from line {rows.damaged_line} on; only the rows before are used"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return to_frame(rows.steps, rows.columns())
    path = folder / METRICS
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no records: neither {METRICS} nor {JOURNAL}")
    return _read_table(path, read_record(folder).get("metrics_crc32"))


def _read_table(path: Path, crc32: int | None) -> pl.DataFrame:
    content = path.read_bytes()
    if crc32 is not None and zlib.crc32(content) != crc32:
        raise DamagedFileError(f"{path} is damaged: its {len(content)} bytes do not match the checksum in run.json")
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1":
        raise DamagedFileError(f"{path} is damaged: it is no parquet file, or was cut short")
    try:
        table = pl.read_parquet(io.BytesIO(content), glob=False, hive_partitioning=False)
    except (PolarsError, PanicException, OSError) as error:  # a PanicException is no Exception
        raise DamagedFileError(f"{path} cannot be read: {error}") from error
    types = table.schema
    if types.get("step") != pl.Int64 or any(t != pl.Float64 for name, t in types.items() if name != "step"):
        raise DamagedFileError(f"{path} is no table of metrics: it needs a column step of Int64, the others Float64")
    return table
