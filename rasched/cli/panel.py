"""What a command says at its end."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasched.runner.execute import Result
    from rasched.runner.sweep import Summary

_NEXT = "rasched run -m rule=scaling,trend,variance,kelly,none 'seed=range(0,3)'"


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON document; what is not finite is null, since JSON has no word for it."""
    print(json.dumps(_finite(value), indent=2))


def run_panel(result: Result) -> None:
    """Say what happened in a run, where its records are, and what to type next."""
    scores = result.scores
    lines = []
    if "reward_last_tenth" in scores:
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
    folder = shown(result.plan.folder)
    lines += [("records", folder), ("next", f"rasched board {folder}"), ("", _NEXT)]
    plan = result.plan
    title = f"{plan.settings.rule.name} on {plan.settings.env.name}, {result.steps:,} steps: {result.status}"
    _print(title, lines)


def sweep_panel(summary: Summary) -> None:
    """Say what came out of a sweep: a row a setting, over its seeds."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{len(summary.rows)} runs in {summary.wall_time:.1f} s", title_justify="left")
    table.add_column("setting")
    for name in ("runs", "mean reward, last tenth", "95 % interval"):
        table.add_column(name, justify="right")
    for row in summary.table():
        table.add_row(
            row.setting, str(row.runs), _n(row.mean), f"{_n(row.low)} to {_n(row.high)}" if row.runs > 1 else ""
        )
    console.print(table)
    for failed in summary.failed():
        console.print(f"{failed['status']}: {' '.join(failed['overrides'])}: {failed['reason']}", highlight=False)
    folder = shown(summary.folder)
    console.print(f"records  {folder}\nnext     rasched board {folder}", highlight=False)


def shown(folder: Path) -> str:
    """Return a folder as one would type it from here."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith("..") else relative


def _print(title: str, lines: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

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
