"""``rasched diff``: what differs between two runs, or between two sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rasched.analysis.load import read_results
from rasched.analysis.run_folder import Run, printable
from rasched.analysis.sweep_diff import SweepDiff, VariantDiff, diff_sweeps
from rasched.cli.errors import print_damaged
from rasched.cli.output import print_json, relative_path
from rasched.errors import UsageError

_MOST_VALUES = 6  # of a setting, which are named


def diff(first: str, second: str, as_json: bool) -> int:
    """Print what differs between two runs or two sweeps; return the exit code, 3 if a file could not be read."""
    sides = read_results([first]), read_results([second])
    is_run = [len(side) > 0 and side[0].folder == side.folders[0] for side in sides]
    if all(is_run):
        _diff_runs(sides[0][0], sides[1][0], as_json)
    elif any(is_run):
        raise UsageError(f"{first} and {second} are a run and a sweep: name two runs, or two sweeps")
    else:
        _diff_sweeps(first, second, diff_sweeps(*sides), as_json)
    return print_damaged([*sides[0].damaged, *sides[1].damaged])


def _diff_runs(first: Run, second: Run, as_json: bool) -> None:
    ours, theirs = map(_compared_entries, (first, second))
    names = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    if as_json:
        print_json({name: [ours.get(name), theirs.get(name)] for name in names})
    elif not names:
        folders = f"{relative_path(first.folder)} and {relative_path(second.folder)}"
        print(f"{folders} have the same settings, versions, commit and scores")
    else:
        rows = [(name, _text(ours.get(name)), _text(theirs.get(name))) for name in names]
        _print_table(["", relative_path(first.folder), relative_path(second.folder)], rows)


def _compared_entries(run: Run) -> dict[str, Any]:
    """Return what two runs are compared in, by name."""

    def prefixed(group: str, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{group} {printable(name)}": value for name, value in entries.items()}

    rest = {"commit": run.record.get("git", {}).get("commit"), "status": run.status}
    versions = prefixed("version of", run.record.get("versions", {}))
    return {**{printable(k): v for k, v in run.settings.items()}, **versions, **rest, **prefixed("score", run.scores)}


def _diff_sweeps(first: str, second: str, diff: SweepDiff, as_json: bool) -> None:
    if as_json:
        entries = {name: list(values) for name, values in diff.entries.items()}
        score = None if diff.choice is None else diff.choice.name
        print_json({"entries": entries, "score": score, "variants": [one.as_dict() for one in diff.variants]})
        return
    names = [relative_path(Path(first)), relative_path(Path(second))]
    if diff.entries:
        rows = [(name, *map(_values, values)) for name, values in diff.entries.items()]
        _print_table(["", *names], rows)
    else:
        print(f"{names[0]} and {names[1]} have the same settings, versions and commit")
    if diff.choice is None:
        print("no run is done, so no score is compared")
    elif diff.has_same_scores:
        print(f"all {len(diff.variants)} variants have the same scores on the same seeds")
    else:
        print(f"{diff.choice.description}: interquartile means (runs), and the mean difference on the same seeds")
        header = ["variant", *names, "difference", "95% CI", "p"]
        _print_table(header, [_variant_row(one) for one in diff.variants], num_left=1)


def _variant_row(diff: VariantDiff) -> tuple[str, ...]:
    sides = ["none" if row is None else f"{row.iqm:.4g} ({row.runs})" for row in (diff.first, diff.second)]
    difference = diff.difference
    if difference is None:
        return diff.label, *sides, "", "", ""
    interval = f"{difference.low:.3g} to {difference.high:.3g}" if difference.pairs > 1 else ""
    return diff.label, *sides, f"{difference.difference:+.3g}", interval, f"{difference.p_holm:.2g}"


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]], num_left: int | None = None) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, name in enumerate(names):
        is_left = num_left is None or index < num_left
        table.add_column(Text(printable(name)), overflow="fold", justify="left" if is_left else "right")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _values(values: Sequence[Any]) -> str:
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return ", ".join(_text(value) if value is not None else "null" for value in values[:_MOST_VALUES]) + more


def _text(value: Any) -> str:
    return "" if value is None else printable(value)
