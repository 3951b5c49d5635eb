"""What came of a sweep, as a table: a row a setting, over its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rasched.analysis.statistics import bootstrap_ci

# What a run is judged by: the first of these that it has. A reward a step says nothing where every step pays the same.
SCORES = {
    "eval_return_last": "return of the last evaluation",
    "return_last": "mean return of the last episodes",
    "reward_last_tenth": "mean reward of the last tenth",
}


def score(scores: Mapping[str, float]) -> float | None:
    """Return the score that a run is judged by, None where it has none."""
    return next((scores[name] for name in SCORES if name in scores), None)


@dataclass(frozen=True)
class Row:
    """A setting's runs: the mean of their scores, with its 95 % interval."""

    setting: str
    runs: int
    mean: float
    low: float
    high: float
    lr: str | None = None  # the base rate, where the sweep varies it: it is then not part of `setting`


@dataclass(frozen=True)
class SweepSummary:
    """What came of a sweep; ``rows`` are one a run, read from the runs' own records."""

    folder: Path
    rows: list[dict[str, Any]]
    wall_time: float
    exit_code: int

    @property
    def measure(self) -> str:
        """What the runs are judged by, in words."""
        return next((words for name, words in SCORES.items() if any(name in row["scores"] for row in self.rows)), "")

    def failed(self) -> list[dict[str, Any]]:
        """Return the rows of the runs that are not done."""
        return [row for row in self.rows if row["status"] != "done"]

    def as_dict(self) -> dict[str, Any]:
        """Return what scripts ask for."""
        entries = {"exit_code": self.exit_code, "wall_time": self.wall_time, "runs": self.rows}
        return {"folder": str(self.folder.absolute()), **entries, "table": [vars(row) for row in self.table()]}

    def table(self) -> list[Row]:
        """Return one row a setting, in the order of the jobs."""
        together: dict[tuple[str, str | None], list[float]] = {}
        for row, setting in zip(self.rows, settings(self.rows), strict=True):
            if (value := score(row["scores"])) is not None:
                together.setdefault(setting, []).append(value)
        return [_row(*setting, values) for setting, values in together.items()]


def settings(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    """Return each run's varied overrides but the seed, and apart from them its base rate, if that is varied."""
    common = set.intersection(*(set(row["overrides"]) for row in rows)) if rows else set()
    found = []
    for row in rows:
        varied = [o for o in row["overrides"] if o not in common and not o.startswith("seed=")]
        rates = [o for o in varied if o.startswith("optimizer.lr=")]
        lr = rates[-1].partition("=")[2] if rates else None
        found.append((" ".join(o for o in varied if o not in rates), lr))
    return found


def _row(setting: str, lr: str | None, values: list[float]) -> Row:
    low, high = bootstrap_ci(values)
    return Row(setting, len(values), float(sum(values) / len(values)), low, high, lr)
