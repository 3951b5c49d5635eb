"""``sweep.json``: one row a run, and the words to compose them all again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasched.compose.config_hash import flat
from rasched.errors import RunFailed, UsageError
from rasched.records.run_json import RECORD, command, now, read_record, write_json
from rasched.runner.run_spec import RunSpec

INDEX = "sweep.json"


@dataclass(frozen=True)
class Words:
    """What composes the jobs of a sweep: Hydra's own overrides, the files, and how the jobs are trained."""

    hydra: list[str]
    files: Mapping[str, str | None]
    stacked: bool = True  # in batches; False: each by itself, as another launcher does
    shard: int | None = None  # runs a job of another launcher


class SweepIndex:
    """The index of a sweep, written when it starts and when it ends.

    What a killed sweep leaves says ``running``; the truth of each run is in its own record. ``settings`` are the flat
    settings that all runs share, and in a row those of the run, so that a resumed sweep can say what has changed.
    """

    def __init__(self, folder: Path, words: Words, plans: Sequence[RunSpec], started: str | None = None) -> None:
        self.folder = folder
        self.words = words
        self.plans = plans
        self.start = time.monotonic()
        self.started = started or now()
        self._common, self._own = _factored([flat(plan.config) for plan in plans])

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a run, from the runs' records; a planned run without one is ``missing``."""
        if not self.plans:
            return [_row(self.folder, path.parent, []) for path in sorted(self.folder.glob(f"**/{RECORD}"))]
        return [
            {**_row(self.folder, plan.folder, plan.overrides), "identity": plan.identity, "settings": own}
            for plan, own in zip(self.plans, self._own, strict=True)
        ]

    def wall_time(self) -> float:
        """Return the seconds since this process began with the sweep."""
        return round(time.monotonic() - self.start, 3)

    def write(self, status: str, rows: Sequence[Mapping[str, Any]], exit_code: int | None = None) -> None:
        """Write the file as a whole."""
        state = {"status": status, "exit_code": exit_code, "started": self.started, "wall_time": self.wall_time()}
        words = {"command": command(), "words": vars(self.words), "settings": self._common}
        write_json(self.folder / INDEX, {**state, **words, "runs": list(rows)})


def read_index(folder: Path) -> dict[str, Any]:
    """Return what ``sweep.json`` says; a UsageError where there is none, or one that no resume can use."""
    try:
        found = dict(json.loads((folder / INDEX).read_bytes()))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} holds neither {INDEX} nor {RECORD}: name the folder of a sweep or a run") from error
    except ValueError as error:
        raise UsageError(f"{folder / INDEX} cannot be read: {error}") from error
    if not all("identity" in row for row in found.get("runs", [])) or "words" not in found:
        raise UsageError(f"{folder} cannot be resumed: its jobs were chosen by a sweeper that searches, not by a list")
    return found


def sweep_exit_code(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit code of a sweep: a bug of ours before a failed run before none."""
    codes = {row["exit_code"] if row["status"] in ("done", "failed") else RunFailed.exit_code for row in rows}
    return next((code for code in (130, 143, 1, 2, 3) if code in codes), 0)


def _row(folder: Path, path: Path, overrides: list[str]) -> dict[str, Any]:
    record = read_record(path)
    taken = {name: record.get(name) for name in ("reason", "exit_code", "seed", "steps", "wall_time")}
    return {
        "overrides": record.get("overrides", overrides),
        "folder": str(path.relative_to(folder)),
        "status": record.get("status", "missing"),
        **taken,
        "scores": record.get("scores", {}),
    }


def _factored(settings: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split flat settings into those that all share, and each one's own."""
    if not settings:
        return {}, []
    first = settings[0]
    shared = {
        name: value
        for name, value in first.items()
        if all(name in each and each[name] is value or each.get(name, each) == value for each in settings)
    }
    return shared, [{name: v for name, v in each.items() if name not in shared} for each in settings]
