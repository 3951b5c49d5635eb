"""The records of the runs of a sweep, wherever they are: in each run's folder, or in the sweep's index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rasched.errors import DamagedFileError
from rasched.records.run_json import RunJson, read_json, read_record
from rasched.records.score_rows import add_rows, read_parts, write_part
from rasched.runner.run_spec import RunSpec
from rasched.train.run_result import RunStatus

INDEX = "sweep.json"


def read_records(specs: Sequence[RunSpec]) -> list[dict[str, Any]]:
    """Return the entries of each run's record; none for a run that has not begun."""
    saved = next((read_rows(spec.sweep_folder) for spec in specs if spec.only_scores and spec.sweep_folder), {})
    return [saved.get(spec.name, {}) if spec.only_scores else read_record(spec.folder) for spec in specs]


def read_rows(sweep_folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a sweep that keeps only scores, of its index and of its batches, by the names of the runs."""
    try:
        index = read_json(sweep_folder / INDEX)
        shared = {name: index[name] for name in ("versions", "git") if name in index}
        rows = {str(row["folder"]): {**shared, **row} for row in index["runs"]}
    except (FileNotFoundError, DamagedFileError, KeyError, TypeError):
        rows = {}
    started = {name: row for name, row in rows.items() if row.get("status") != RunStatus.MISSING}
    add_rows(started, read_parts(sweep_folder).items())
    return started


def mark_failed(spec: RunSpec, error: str, exit_code: int) -> None:
    """Record that a run failed whose process could not say so."""
    entries = {"status": RunStatus.FAILED, "exit_code": exit_code, "error": error}
    known = {"overrides": spec.overrides, "config_hash": spec.config_hash, "seed": spec.config["seed"]}
    if spec.only_scores and spec.sweep_folder is not None:
        write_part(spec.sweep_folder, spec.config_hash, [{"folder": spec.name, **known, "scores": {}, **entries}])
    else:
        RunJson.of(spec.folder, **known).update(**entries)
