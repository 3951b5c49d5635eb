"""What a command says at its end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.analysis.run_folder import POLICY
from rasched.records.primary_score import primary_score

if TYPE_CHECKING:
    from rasched.analysis.run_folder import Run
    from rasched.analysis.sweep_table import SweepSummary
    from rasched.runner.run_spec import Batch

_MOST_VARIANTS = 30  # rows that a sweep prints at its end; `rasched compare` has all


def print_json(value: Any) -> None:
    """Print one JSON document; what is not finite is null, since JSON has no word for it."""
    print(json.dumps(_finite(value), indent=2))


def sweep_panel(summary: SweepSummary) -> None:
    """Say what came out of a sweep: the variants compared, what failed, and what to type next."""
    from rich.console import Console

    from rasched.cli.compare import print_comparison

    console = Console()
    comparison = summary.comparison()
    console.print(f"{len(summary.rows)} runs in {summary.wall_time:.1f} s", highlight=False)
    if comparison is not None:
        print_comparison(comparison, most=_MOST_VARIANTS)
    for row in summary.unfinished():
        error = row["error"] or "not run"
        console.print(f"{row['status']}: {' '.join(row['overrides'])}: {error}", highlight=False, markup=False)
    folder = relative_path(summary.folder)
    if (best := summary.best()) is not None:
        console.print(_best_line(best), highlight=False, markup=False, soft_wrap=True)
    if summary.unfinished():
        console.print(f"resume   rasched resume {folder}", highlight=False)
    # of more runs than these TensorBoard shows none until some are ticked: the variants' bands are what to look at
    crowded = len(summary.rows) > 40 and (summary.folder / "_summary").is_dir()
    board = f"{folder}/_summary" if crowded else folder
    following = f"board {board}" if summary.settings is None else f"plot {folder} --kind robustness"
    lines = [f"output   {folder}", f"next     rasched {following}"]
    if best is not None and best.has_policy:
        lines.append(f"         rasched eval {folder}, which plays the policy of the best run")
    console.print("\n".join(lines), highlight=False, markup=False)


def _best_line(run: Run) -> str:
    score = primary_score(run.scores)
    policy = f", policy {relative_path(run.folder / POLICY)}" if run.has_policy else ""
    return f"best run {relative_path(run.folder)}: {_n(score or 0.0)}{policy}"


def relative_path(folder: Path) -> str:
    """Return a folder as one would type it from here."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def _n(value: float) -> str:
    return f"{value:.4g}"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_batches(batches: Sequence[Batch], num_workers: int, as_json: bool) -> None:
    """Print the jobs of a sweep in their order, with the batch of each, and why some are not batched."""
    jobs = sorted(
        ((spec, index) for index, batch in enumerate(batches) for spec in batch.specs), key=lambda job: job[0].job.num
    )
    if as_json:
        print_json(
            {
                "jobs": [
                    {"overrides": spec.overrides, "folder": str(spec.folder), "batch": index} for spec, index in jobs
                ],
                "batches": [
                    {"runs": len(batch.specs), "unbatchable_reason": batch.unbatchable_reason} for batch in batches
                ],
                "workers": num_workers,
            }
        )
        return
    for spec, index in jobs:
        print(f"#{spec.job.num:<4} batch {index:<3} {' '.join(spec.overrides)}")
    largest = max(len(batch.specs) for batch in batches)
    print(
        f"{_count(len(jobs), 'run')} in {_count(len(batches), 'batch')} of at most {largest}, "
        f"{_count(num_workers, 'process')}"
    )
    for reason in sorted({batch.unbatchable_reason for batch in batches if batch.unbatchable_reason}):
        num_runs = sum(batch.unbatchable_reason == reason for batch in batches)
        print(f"not batched: {_count(num_runs, 'run')}: {reason}")


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith(("ch", "s")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"
