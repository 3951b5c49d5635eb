"""Train a recorded run again, into a new folder, and compare the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from rasched.compose.config_hash import describe_difference, flatten
from rasched.compose.recorded_job import copy_hydra_files, read_recorded_job
from rasched.errors import DamagedFileError, UsageError
from rasched.records.metrics import METRICS, read_metrics
from rasched.records.output_dir import create_output_dir, lock_empty_dir
from rasched.records.provenance import GitState
from rasched.records.run_json import RECORD, read_json
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_batch import train_batch
from rasched.runner.run_records import INDEX
from rasched.runner.run_spec import RunSpec, validate
from rasched.train.run_result import RunResult


@dataclass(frozen=True)
class Rerun:
    """A run that was trained again.

    ``is_identical`` is whether ``metrics.parquet`` has the same bytes. ``first_difference`` is a sentence about the
    first row that differs; None if no row that both have does. ``differences`` name what else differs between the two:
    settings, versions, commit, machine.
    """

    original: Path
    folder: Path
    result: RunResult
    is_identical: bool
    num_equal_rows: int
    first_difference: str | None
    differences: tuple[str, ...]


def rerun(folder: Path, output: Path | None, progress: ProgressReporter, trust: bool = False) -> Rerun:
    """Train a run again from its record. Nothing is written into its folder.

    Args:
        folder: The run's folder, or a copy of it.
        output: The new folder; by default ``outputs/<date>/<time>``.
        progress: Shows the training.
        trust: Import the user's own classes that the record names.

    Raises:
        UsageError: The folder is not that of one run, or its settings cannot be used.

    """
    record = _read_run(folder)
    job = read_recorded_job(folder, trust)
    spec = RunSpec(job, output or _dated_folder(), batched=_was_batched(folder, record))
    validate([spec])
    spec = RunSpec(job, create_output_dir(spec.folder, dated=output is None, setting="--output"), spec.batched)
    with lock_empty_dir(spec.folder):
        copy_hydra_files(folder, spec.folder)
        with progress:
            progress.begin(1, spec.settings.steps)
            (result,) = train_batch([spec], progress, GitState(spec.folder))
    if result.exception is not None and result.exit_code == 1:
        raise result.exception
    return _compare(folder, record, spec, result)


def _read_run(folder: Path) -> dict[str, Any]:
    if (folder / INDEX).exists():
        run = next(iter(sorted(path.parent for path in folder.glob(f"*/{RECORD}"))), folder / "0_...")
        raise UsageError(f"{folder} is a sweep: name one of its runs, as in rasched rerun {run}")
    try:
        return read_json(folder / RECORD)
    except (OSError, DamagedFileError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise UsageError(f"{folder} is not the folder of a run: {RECORD} cannot be read ({reason})") from error


def _was_batched(folder: Path, record: Mapping[str, Any]) -> bool:
    """Return whether the run was trained as one of a batch, whose arithmetic differs in the last bits."""
    if "batched" in record:
        return bool(record["batched"])
    return bool(record.get("runs_in_batch", 1) != 1)  # of an earlier version


def _dated_folder() -> Path:
    return Path("outputs") / datetime.now().strftime("%Y-%m-%d/%H-%M-%S")


def _compare(folder: Path, record: Mapping[str, Any], spec: RunSpec, result: RunResult) -> Rerun:
    new = read_json(spec.folder / RECORD)
    differences = tuple(_differences(record, new, spec))
    old_table, new_table = folder / METRICS, spec.folder / METRICS
    if old_table.is_file() and new_table.is_file() and old_table.read_bytes() == new_table.read_bytes():
        return Rerun(folder, spec.folder, result, True, len(read_metrics(spec.folder)), None, differences)
    try:
        old, now = read_metrics(folder), read_metrics(spec.folder)
    except (FileNotFoundError, DamagedFileError) as error:
        return Rerun(folder, spec.folder, result, False, 0, str(error), differences)
    equal, sentence = first_difference(old, now)
    return Rerun(folder, spec.folder, result, False, equal, sentence, differences)


def first_difference(old: pl.DataFrame, new: pl.DataFrame) -> tuple[int, str | None]:
    """Return how many rows are equal from the start on, and a sentence about the first that is not.

    The sentence is None if all rows that both tables have are equal.
    """
    only = [name for name in (*old.columns, *new.columns) if (name in old.columns) != (name in new.columns)]
    if only:
        where = "before" if only[0] in old.columns else "now"
        return 0, f"the column {only[0]} is only there {where}"
    count = min(len(old), len(new))
    before, now = old.head(count), new.select(old.columns).head(count)
    differs = pl.DataFrame({name: ~before[name].eq_missing(now[name]) for name in old.columns})
    rows = differs.select(pl.any_horizontal(pl.all()).alias("differs"))["differs"].arg_true()
    if not len(rows):
        return count, None
    row = int(rows[0])
    names = [name for name in old.columns if differs[name][row]]
    changes = "; ".join(f"{name} was {before[name][row]!r} and is {now[name][row]!r} now" for name in names[:3])
    return row, f"step {now['step'][row]}, row {row + 1} of {count}: {changes}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], spec: RunSpec) -> Iterator[str]:
    if old.get("config_hash") != spec.config_hash:
        yield "settings: .hydra/config.yaml is not what run.json was written for"
    for name in ("versions", "machine", "git"):
        if not old.get(name):  # of a version that did not record it
            continue
        before, after = (flatten(entries.get(name) or {}) for entries in (old, new))
        for entries in (before, after):
            entries.pop("diff", None)  # where the uncommitted changes are
        changed = describe_difference(before, after)
        if changed is not None:
            yield f"{name}: {changed}"
