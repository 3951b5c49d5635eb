"""A run's metrics as a table: `metrics.parquet`, or the journal while the run is under way or was killed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rasched.records.journal import JOURNAL, read_journal

METRICS = "metrics.parquet"


def frame(steps: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> pl.DataFrame:
    """Build the table: `step` (int64), then float64 columns, where NaN (no value) becomes null."""
    series = [pl.Series("step", steps, dtype=pl.Int64)]
    for name, values in columns.items():
        column = pl.Series(name, np.ascontiguousarray(values), dtype=pl.Float64)
        series.append(column.fill_nan(None) if np.isnan(values).any() else column)
    return pl.DataFrame(series)


def trim_empty(
    steps: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Cut the rows after a run's last value, and columns without any.

    A run that ended before its neighbours has empty rows up to their end, and empty columns where only they record
    something: alone it would have neither.
    """
    ends = {
        name: len(values) - int(np.argmax(~np.isnan(values[::-1])))
        for name, values in columns.items()
        if not np.isnan(values).all()
    }
    end = max(ends.values(), default=0)
    return steps[:end], {name: columns[name][:end] for name in ends}


def write_metrics(folder: str | Path, table: pl.DataFrame) -> None:
    """Write `metrics.parquet` at once or not at all; the same numbers give the same bytes."""
    path = Path(folder) / METRICS
    temporary = path.with_suffix(".parquet.new")
    # Statistics help readers to skip parts of large files; here they cost more than they save.
    try:
        buffer = io.BytesIO()  # straight to a path polars goes through its query engine, which takes twice as long
        table.write_parquet(buffer, compression="lz4", statistics=False, row_group_size=max(1, len(table)))
        temporary.write_bytes(buffer.getbuffer())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_metrics(folder: str | Path) -> pl.DataFrame:
    """Read one run's table; a journal, where there is one, is the latest word.

    A FileNotFoundError says that the folder holds neither, so nothing was recorded.
    """
    folder = Path(folder)
    if (folder / JOURNAL).exists():
        names, steps, values = read_journal(folder / JOURNAL)
        return frame(steps, dict(zip(names, values.T, strict=True)))
    if not (folder / METRICS).exists():
        raise FileNotFoundError(f"{folder} holds no records: neither {METRICS} nor {JOURNAL}")
    return pl.read_parquet(folder / METRICS, memory_map=False, glob=False, hive_partitioning=False)
