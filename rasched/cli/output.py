"""What a command says at its end."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rasched.analysis.sweep_table import SweepSummary
    from rasched.runner.run_spec import Batch, RunSpec
    from rasched.train.run_result import RunResult

_MOST_VARIANTS = 30  # rows that a sweep prints at its end; `rasched compare` has all
_ALL_RULES = ("rule=scaling,trend,variance,kelly,none", "seed=range(0,3)")


def print_json(value: Any) -> None:
    """Print one JSON document; what is not finite is null, since JSON has no word for it."""
    print(json.dumps(_finite(value), indent=2))


def run_panel(spec: RunSpec, result: RunResult) -> None:
    """Say what happened in a run, where its records are, and what to type next."""
    scores = result.scores
    lines = []
    for name, word in (("return", "return"), ("eval_return", "eval return")):
        if f"{name}_last" in scores:
            lines.append((word, f"{_n(scores[f'{name}_last'])} final, {_n(scores[f'{name}_best'])} best"))
    if "reward_last_tenth" in scores and not lines:
        lines.append(
            ("mean reward", f"{_n(scores['reward_last_tenth'])} in the last tenth, {_n(scores['reward_mean'])} overall")
        )
    if "regret_total" in scores:
        lines.append(
            (
                "regret",
                f"{_n(scores['regret_total'])} in all, {_n(scores['regret_last_tenth'])} a step in the last tenth",
            )
        )
    if "optimal_last_tenth" in scores:
        lines.append(("best action", f"{scores['optimal_last_tenth']:.0%} of the last tenth"))
    if "lr_first" in scores:
        lines.append(
            (
                "learning rate",
                f"{_n(scores['lr_first'])} first, {_n(scores['lr_last'])} last, "
                f"between {_n(scores['lr_min'])} and {_n(scores['lr_max'])}",
            )
        )
    folder = shown(spec.folder)
    lines += [("output", folder), ("next", f"rasched board {folder}")]
    lines.append(("", shlex.join(["rasched", "run", "-m", *_ALL_RULES, *_apart_from_rule(spec.overrides)])))
    title = f"{spec.settings.rule.name} on {spec.settings.env.name}, {result.steps:,} steps: {result.status}"
    _print(title, lines)


def sweep_panel(summary: SweepSummary) -> None:
    """Say what came out of a sweep: the variants compared, what failed, and what to type next."""
    from rasched.cli.compare import print_comparison

    console = Console()
    comparison = summary.comparison()
    console.print(f"{len(summary.rows)} runs in {summary.wall_time:.1f} s", highlight=False)
    if comparison is not None:
        print_comparison(comparison, most=_MOST_VARIANTS)
    for row in summary.unfinished():
        error = row["error"] or "not run"
        console.print(f"{row['status']}: {' '.join(row['overrides'])}: {error}", highlight=False, markup=False)
    folder = shown(summary.folder)
    if summary.unfinished():
        console.print(f"resume   rasched resume {folder}", highlight=False)
    # of more runs than these TensorBoard shows none until some are ticked: the variants' bands are what to look at
    crowded = len(summary.rows) > 40 and (summary.folder / "_summary").is_dir()
    board = f"{folder}/_summary" if crowded else folder
    console.print(f"output   {folder}\nnext     rasched board {board}", highlight=False)


def shown(folder: Path) -> str:
    """Return a folder as one would type it from here."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def _print(title: str, lines: list[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, text in lines:
        grid.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    Console().print(Panel(grid, title=title, title_align="left", expand=False))


def _n(value: float) -> str:
    return f"{value:.4g}"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _apart_from_rule(overrides: Sequence[str]) -> list[str]:
    """Return what makes the same run with another rule and seed."""
    names = [(word, word.lstrip("+~").partition("=")[0]) for word in overrides]
    return [word for word, name in names if name != "seed" and name.partition(".")[0] != "rule"]


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
