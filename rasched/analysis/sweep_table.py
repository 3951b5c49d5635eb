"""What came of a sweep: its runs, and its variants compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from rasched.analysis.compare import Comparison
from rasched.analysis.load import Results
from rasched.analysis.run_folder import POLICY, Run
from rasched.analysis.score_choice import best_index
from rasched.errors import UsageError
from rasched.records.files import write_file
from rasched.records.primary_score import primary_score
from rasched.records.score_rows import TABLE


@dataclass(frozen=True)
class SweepSummary:
    """What came of a sweep; ``rows`` are those of its index, one per run."""

    folder: Path
    rows: list[dict[str, Any]]
    wall_time: float
    exit_code: int
    settings: Mapping[str, Any] | None = None  # that all runs share, if the sweep keeps only scores

    def unfinished(self) -> list[dict[str, Any]]:
        """Return the rows of the runs that are not done."""
        return [row for row in self.rows if row["status"] != "done"]

    def best(self) -> Run | None:
        """Return the best run that is done; None if none has a score."""
        done = [run for run in runs_of(self.folder, self.rows) if run.status == "done"]
        index = best_index([run.scores for run in done])
        return None if index is None else done[index]

    def comparison(self) -> Comparison | None:
        """Return the variants compared, as ``rasched compare`` does; None if no run has a score."""
        try:
            return Results((self.folder,), runs_of(self.folder, self.rows, self.settings)).compare()
        except UsageError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """Return what ``rasched sweep --json`` prints."""
        comparison, best = self.comparison(), self.best()
        entries = {"exit_code": self.exit_code, "wall_time": self.wall_time, "runs": self.rows}
        table = [] if comparison is None else comparison.as_dicts()
        return {"folder": str(self.folder.absolute()), **entries, "best": best and _best_entries(best), "table": table}


def _best_entries(run: Run) -> dict[str, Any]:
    policy = str((run.folder / POLICY).absolute()) if run.has_policy else None
    return {"folder": str(run.folder.absolute()), "score": primary_score(run.scores), "policy": policy}


def runs_of(
    folder: Path, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any] | None = None
) -> tuple[Run, ...]:
    """Return the runs of a sweep's index, whose rows hold what ``run.json`` does.

    ``settings`` are those that all runs share, if the sweep keeps only scores.
    """
    if settings is None:
        return tuple(Run(folder / row["folder"], row, folder) for row in rows)
    return tuple(
        Run(folder / row["folder"], row, folder, {**settings, **row.get("settings", {})}, only_scores=True)
        for row in rows
    )


def write_score_table(folder: Path, settings: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``scores.parquet``, for other programs: one row per run, as ``rasched.load(folder).runs`` has them."""
    buffer = BytesIO()
    frame = Results((folder,), runs_of(folder, rows, settings)).runs.drop("sweep", strict=False)
    frame.with_columns(pl.Series("folder", [row["folder"] for row in rows])).write_parquet(buffer)
    write_file(folder / TABLE, buffer.getvalue())
