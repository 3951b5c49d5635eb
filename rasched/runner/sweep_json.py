"""``sweep.json``: one row per run, and what composes all runs again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rasched.compose.config_hash import flatten
from rasched.errors import DamagedFileError, RunFailed, UsageError
from rasched.records.provenance import command
from rasched.records.run_json import RECORD, now, read_json, read_record, write_json
from rasched.records.score_rows import delete_parts
from rasched.runner.run_records import INDEX, read_records, read_rows
from rasched.runner.run_spec import RunSpec, is_inside
from rasched.train.run_result import RunStatus

_EXIT_CODES = (130, 143, 1, 2, 3)  # the first that a run has is the sweep's


@dataclass(frozen=True)
class Composition:
    """What composes the jobs of a sweep again, and how they are trained."""

    hydra_overrides: list[str]
    config_files: Mapping[str, str | None]
    batched: bool = True  # False: each run by itself, as by another launcher
    runs_per_job: int | None = None  # of another launcher


class SweepIndex:
    """The index of a sweep, written when the sweep starts and when it ends.

    A killed sweep leaves one that says ``running``; the state of each run stands in its own ``run.json``. A sweep that
    keeps ``only_scores`` has no such files, and the index is the record of its runs. ``settings`` are the flat settings
    that all runs share, and in a row the run's other settings, so that a resumed sweep can name what has changed.
    """

    def __init__(
        self,
        folder: Path,
        composition: Composition,
        specs: Sequence[RunSpec],
        started_at: str | None = None,
        only_scores: bool = False,
    ) -> None:
        self.folder = folder
        self.only_scores = only_scores
        self.composition = composition
        self.specs = sorted(specs, key=lambda spec: spec.job.num)
        self.start = time.monotonic()
        self._provenance: dict[str, Any] = {}
        self.started_at = started_at or now()
        self.common_settings, self._differing = _split_common([flatten(spec.config) for spec in self.specs])

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per run, from the runs' records; a planned run without a record is ``missing``."""
        if self.specs:
            names = [str(spec.folder.relative_to(self.folder)) for spec in self.specs]
            records = read_records(self.specs)
        elif self.only_scores:
            names, records = map(list, zip(*read_rows(self.folder).items(), strict=True)) or ([], [])
        else:
            folders = [path.parent for path in sorted(self.folder.glob(f"**/{RECORD}"))]
            names, records = [str(each.relative_to(self.folder)) for each in folders], list(map(read_record, folders))
        rows = [_row(name, record) for name, record in zip(names, records, strict=True)]
        for row, spec, settings in zip(rows, self.specs, self._differing, strict=False):
            row |= {"overrides": row["overrides"] or list(spec.overrides), "config_hash": spec.config_hash}
            row["settings"] = settings
        if self.only_scores:
            self._add_provenance(rows, records)
        return rows

    def _add_provenance(self, rows: Sequence[dict[str, Any]], records: Sequence[Mapping[str, Any]]) -> None:
        """Add what only a run's ``run.json`` says otherwise; what most runs share stands in the index once."""
        for name in ("versions", "git"):
            self._provenance |= next(({name: record[name]} for record in records if name in record), {})
        for row, record in zip(rows, records, strict=True):
            row["started_at"] = record.get("started_at")
            row |= {n: record[n] for n, shared in self._provenance.items() if n in record and record[n] != shared}

    def wall_time(self) -> float:
        """Return the seconds since this process began with the sweep."""
        return round(time.monotonic() - self.start, 3)

    def write(self, status: RunStatus, rows: Sequence[Mapping[str, Any]], exit_code: int | None = None) -> None:
        """Replace the file as a whole."""
        write_json(
            self.folder / INDEX,
            {
                "status": status,
                "exit_code": exit_code,
                "started_at": self.started_at,
                "wall_time": self.wall_time(),
                "command": command(),
                "composition": vars(self.composition),
                **({"files": "scores", **self._provenance} if self.only_scores else {}),
                "settings": self.common_settings,
                "runs": list(rows),
            },
        )
        if self.only_scores:
            delete_parts(self.folder)


def read_index(folder: Path) -> dict[str, Any]:
    """Return the content of ``sweep.json``; a UsageError if there is none, or none that a resume can use."""
    try:
        index = read_json(folder / INDEX)
    except FileNotFoundError as error:
        raise UsageError(f"{folder} holds neither {INDEX} nor {RECORD}: name the folder of a sweep or a run") from error
    except DamagedFileError as error:
        raise UsageError(f"{folder} cannot be resumed: {error}") from error
    rows = index.get("runs")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{folder / INDEX} cannot be read: it has no list of runs")
    if not all("config_hash" in row for row in rows) or "composition" not in index:
        raise UsageError(f"{folder} cannot be resumed: its jobs were chosen by a sweeper that searches, not by a list")
    _check_types(folder / INDEX, index)
    return index


def _check_types(path: Path, index: Mapping[str, Any]) -> None:
    """Raise a UsageError for what rasched does not write, and for run folders outside the sweep's folder."""
    composition, rows = index["composition"], index["runs"]
    names = [f.name for f in fields(Composition)]
    is_composition = (
        isinstance(composition, dict)
        and sorted(composition) == sorted(names)
        and _is_texts(composition["hydra_overrides"])
        and isinstance(composition["config_files"], dict)
        and sorted(composition["config_files"]) == ["config_dir", "config_name", "config_path"]
        and all(value is None or isinstance(value, str) for value in composition["config_files"].values())
        and (composition["runs_per_job"] is None or type(composition["runs_per_job"]) is int)
    )
    if not is_composition or not isinstance(index.get("settings"), dict):
        raise UsageError(f"{path} cannot be read: rasched has not written it, or another version has")
    for row in rows:
        if not (_is_texts(row.get("overrides")) and isinstance(row.get("settings"), dict)):
            raise UsageError(f"{path} cannot be read: a run has no overrides or no settings")
        if not isinstance(row.get("folder"), str) or not is_inside(row["folder"]):
            raise UsageError(f"{path} names a run outside its folder ({row.get('folder')!r}); nothing was changed")
    if len({row["folder"] for row in rows}) < len(rows):
        raise UsageError(f"{path} names one folder for several runs")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def sweep_exit_code(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit code of a sweep: that of the worst run."""
    ended = (RunStatus.DONE, RunStatus.FAILED)
    codes = {row["exit_code"] if row["status"] in ended else RunFailed.exit_code for row in rows}
    return next((code for code in _EXIT_CODES if code in codes), 0)


def _row(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    copied = {key: record.get(key) for key in ("error", "exit_code", "seed", "steps", "wall_time")}
    return {
        "overrides": record.get("overrides", []),
        "folder": name,
        "status": record.get("status", RunStatus.MISSING),
        **copied,
        "scores": record.get("scores", {}),
    }


def _split_common(settings: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split flat settings into those that all share, and the others of each."""
    if not settings:
        return {}, []
    common = {
        name: value
        for name, value in settings[0].items()
        if all(name in each and each[name] is value or each.get(name, each) == value for each in settings)
    }
    return common, [{name: v for name, v in each.items() if name not in common} for each in settings]
