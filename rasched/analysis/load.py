"""Run folders as values: one run, or all runs below a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from rasched.records.journal import JOURNAL
from rasched.records.metrics import METRICS, read_metrics
from rasched.records.run_json import RECORD


@dataclass(frozen=True)
class Run:
    """What one run left; files are read when they are first asked for."""

    folder: Path

    @cached_property
    def record(self) -> dict[str, Any]:
        """`run.json`: status, scores, seed, versions; empty where the run never wrote it."""
        path = self.folder / RECORD
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed settings, from `.hydra/config.yaml`; empty where there are none."""
        import yaml

        path = self.folder / ".hydra" / "config.yaml"
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, but not built everywhere
        return dict(yaml.load(path.read_bytes(), Loader=loader) or {}) if path.exists() else {}

    @cached_property
    def metrics(self) -> pl.DataFrame:
        """`step` (int64) and float64 columns at full resolution; null where a step has no value."""
        return read_metrics(self.folder)


@dataclass(frozen=True)
class Sweep:
    """All runs below a folder, in the order of their names (numbers by value: 2 before 10)."""

    folder: Path
    runs: Sequence[Run]

    def metrics(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """All runs' metrics under one another, with a column `run`, the index in `runs`.

        Lazy: only the columns and rows that a query asks for are read. Columns that a run does not have are null, runs
        that recorded nothing are left out, and the order of runs is not kept where their columns differ. `columns`,
        where given, are those beside `run` and `step`: no file needs to be opened first to learn what it holds.
        """
        schema: dict[str, pl.DataType] | None
        schema = None if columns is None else {"step": pl.Int64(), **dict.fromkeys(columns, pl.Float64())}
        alike: dict[tuple[str, ...], dict[str, int]] = {}
        frames = []
        for index, run in enumerate(self.runs):
            path = run.folder / METRICS
            if (run.folder / JOURNAL).exists():
                table = read_metrics(run.folder).lazy()
                if schema:
                    table = table.match_to_schema(schema, missing_columns="insert", extra_columns="ignore")
                frames.append(table.select(pl.lit(index, pl.Int64).alias("run"), pl.all()))
            elif path.exists():
                names = schema or _open([str(path)]).collect_schema()
                alike.setdefault(tuple(names), {})[str(path)] = index
        frames += [_scan(paths, schema) for paths in alike.values()]
        if not frames:
            return pl.LazyFrame(schema={"run": pl.Int64, **(schema or {"step": pl.Int64})})
        return pl.concat(frames, how="diagonal")


def _scan(paths: dict[str, int], schema: dict[str, pl.DataType] | None) -> pl.LazyFrame:
    """Scan tables of the same columns, or what they have of a schema, as one, numbered by run.

    A scan a file would take thirty times as long.
    """
    chosen = {"schema": schema, "missing_columns": "insert", "extra_columns": "ignore"} if schema else {}
    table = _open(list(paths), include_file_paths="run", **chosen)
    return table.select(pl.col("run").replace_strict(paths, return_dtype=pl.Int64), pl.all().exclude("run"))


def _open(paths: list[str], **options: Any) -> pl.LazyFrame:
    """Scan tables; a folder's name is only a name here: `rule=kelly` is no partition, and `lr=[1]` no pattern."""
    return pl.scan_parquet(paths, hive_partitioning=False, glob=False, **options)


def load_run(folder: str | Path) -> Run:
    """Open one run; a FileNotFoundError where the folder holds no record, no metrics and no journal."""
    folder = Path(folder)
    if not _is_run(folder):
        raise FileNotFoundError(f"{folder} is not a run's folder: it holds none of {RECORD}, {METRICS}, {JOURNAL}")
    return Run(folder)


def load_sweep(folder: str | Path) -> Sweep:
    """Open all runs at and below a folder, at any depth; a FileNotFoundError where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    return Sweep(folder, tuple(Run(path) for path in _run_folders(folder)))


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in (RECORD, METRICS, JOURNAL))


def _run_folders(folder: Path) -> list[Path]:
    """Run folders in natural order; what is inside a run's folder is the run's own, and not looked at."""
    if _is_run(folder):
        return [folder]
    below = (
        path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )
    return [run for path in sorted(below, key=_natural) for run in _run_folders(path)]


def _natural(path: Path) -> tuple[int, int, str]:
    """Numbers by value and before names."""
    return (0, int(path.name), path.name) if path.name.isdecimal() else (1, 0, path.name)
