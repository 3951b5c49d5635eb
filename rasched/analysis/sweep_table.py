"""What came of a sweep: its runs, and its variants compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasched.analysis.compare import Comparison
from rasched.analysis.load import Results
from rasched.analysis.run_folder import POLICY, Run
from rasched.analysis.score_choice import best_index
from rasched.errors import UsageError
from rasched.records.scores import primary_score


@dataclass(frozen=True)
class SweepSummary:
    """What came of a sweep; ``rows`` are those of its index, one per run."""

    folder: Path
    rows: list[dict[str, Any]]
    wall_time: float
    exit_code: int

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
            return Results((self.folder,), runs_of(self.folder, self.rows)).compare()
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


def runs_of(folder: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Run, ...]:
    """Return the runs of a sweep's index, whose rows hold what ``run.json`` does."""
    return tuple(Run(folder / row["folder"], row, folder) for row in rows)
