"""``rasched show``: the panel of a run, or the table of a sweep, again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rasched.analysis.load import Results, read_results
from rasched.analysis.run_folder import Run, check_folder, printable
from rasched.cli.errors import print_damaged
from rasched.cli.output import print_json, relative_path


def show(folder: str, as_json: bool) -> int:
    """Print a run's status and scores, or a sweep's comparison; return the exit code."""
    results = read_results([folder])
    if as_json:
        print_json([_entries(run) for run in results])
        return print_damaged(results.damaged)
    if results[0].folder == check_folder(folder):  # a run, which its control may follow
        _show_run(results[0])
    else:
        _show_sweep(results, folder)
    return print_damaged(results.damaged)


def _show_run(run: Run) -> None:
    config = run.config
    if all(isinstance(config.get(group), dict) for group in ("rule", "env", "agent", "signal")):
        from rasched.cli.run_report import print_panel

        print_panel(run, config)
    lines = {
        "overrides": " ".join(run.overrides) or "none",
        "status": run.status if run.error is None else f"{run.status}: {run.error}",
        "steps": "" if run.steps is None else f"{run.steps:,}",
        "started": run.started_at or "",
        **{name: f"{value:.6g}" for name, value in run.scores.items()},
        "commit": _text(run.record.get("git", {}).get("commit")),
        "output": relative_path(run.folder),
    }
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    Console(highlight=False).print(table)


def _show_sweep(results: Results, folder: str) -> None:
    from rasched.cli.compare import print_comparison

    statuses = results.runs["status"].value_counts(sort=True).rows()
    print(
        f"{relative_path(Path(folder))}: {len(results)} runs, "
        + ", ".join(f"{count} {name}" for name, count in statuses)
    )
    if any(run.status == "done" for run in results):
        print_comparison(results.compare())
    for run in results:
        if run.error:
            print(f"{run.status}: {' '.join(run.overrides)}: {run.error}")


def _entries(run: Run) -> dict[str, Any]:
    return {"folder": str(run.folder.absolute()), **run.record}


def _text(value: Any) -> str:
    return "" if value is None else printable(value)
