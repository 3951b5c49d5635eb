"""What came of a sweep: its runs, and its variants compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasched.analysis.compare import Comparison
from rasched.analysis.load import Results
from rasched.analysis.run_folder import Run
from rasched.errors import UsageError


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

    def comparison(self) -> Comparison | None:
        """Return the variants compared, as ``rasched compare`` does; None if no run has a score."""
        try:
            return Results((self.folder,), runs_of(self.folder, self.rows)).compare()
        except UsageError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """Return what ``rasched sweep --json`` prints."""
        comparison = self.comparison()
        entries = {"exit_code": self.exit_code, "wall_time": self.wall_time, "runs": self.rows}
        table = [] if comparison is None else comparison.as_dicts()
        return {"folder": str(self.folder.absolute()), **entries, "table": table}


def runs_of(folder: Path, rows: Sequence[Mapping[str, Any]]) -> tuple[Run, ...]:
    """Return the runs of a sweep's index, whose rows hold what ``run.json`` does."""
    return tuple(Run(folder / row["folder"], row, folder) for row in rows)
