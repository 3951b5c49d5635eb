"""``rasched show``: the panel of a run, or the table of a sweep, again; and ``rasched diff``: what differs in two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rasched.analysis.load import Results, load_run, read_results
from rasched.analysis.run_folder import Run, check_folder, printable
from rasched.cli.errors import print_damaged
from rasched.cli.output import print_json, shown


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


def diff(first: str, second: str, as_json: bool) -> int:
    """Print the settings, versions, commit and scores in which two runs differ; return the exit code."""
    runs = load_run(first), load_run(second)
    ours, theirs = map(_compared_entries, runs)
    names = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    if as_json:
        print_json({name: [ours.get(name), theirs.get(name)] for name in names})
        return 0
    if not names:
        print(f"{first} and {second} have the same settings, versions, commit and scores")
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", shown(runs[0].folder), shown(runs[1].folder)):
        table.add_column(printable(name), overflow="fold")
    for name in names:
        table.add_row(*map(Text, (name, *(_text(side.get(name)) for side in (ours, theirs)))))
    Console(highlight=False).print(table)
    return 0


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
        "output": shown(run.folder),
    }
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    Console(highlight=False).print(table)


def _show_sweep(results: Results, folder: str) -> None:
    from rasched.cli.compare import print_comparison

    statuses = results.runs["status"].value_counts(sort=True).rows()
    print(f"{shown(Path(folder))}: {len(results)} runs, " + ", ".join(f"{count} {name}" for name, count in statuses))
    if any(run.status == "done" for run in results):
        print_comparison(results.compare())
    for run in results:
        if run.error:
            print(f"{run.status}: {' '.join(run.overrides)}: {run.error}")


def _entries(run: Run) -> dict[str, Any]:
    return {"folder": str(run.folder.absolute()), **run.record}


def _compared_entries(run: Run) -> dict[str, Any]:
    """Return what two runs are compared in, by name."""

    def prefixed(group: str, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{group} {printable(name)}": value for name, value in entries.items()}

    rest = {"commit": run.record.get("git", {}).get("commit"), "status": run.status}
    versions = prefixed("version of", run.record.get("versions", {}))
    return {**{printable(k): v for k, v in run.settings.items()}, **versions, **rest, **prefixed("score", run.scores)}


def _text(value: Any) -> str:
    return "" if value is None else printable(value)
