"""``rasched compare``: the variants of sweeps beside one another."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rasched.analysis.compare import Comparison, is_marked
from rasched.analysis.comparison_table import (
    INTERVAL,
    comparison_title,
    difference_columns,
    score_columns,
    variant_columns,
)
from rasched.analysis.kept import SPLITS
from rasched.cli.errors import print_damaged
from rasched.cli.output import print_json
from rasched.errors import UsageError

_WIDE = 110  # columns of a terminal that has space for all columns of the table


def compare(
    folders: Sequence[str], metric: str | None, by: Sequence[str], baseline: str | None, as_json: bool, as_csv: bool
) -> int:
    """Print the comparison of all runs of the folders; return the exit code, 3 if a file could not be read."""
    from rasched.analysis.load import read_results

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude one another: leave one of the two out")
    results = read_results(folders)
    comparison = results.compare(metric, [key for keys in by for key in keys.split(",")], baseline)
    if as_json:
        print_json(comparison.as_dicts())
    elif as_csv:
        comparison.frame().write_csv(sys.stdout)
    else:
        print_comparison(comparison)
    return print_damaged(results.damaged)


def compare_kept(
    folders: Sequence[str],
    metric: str | None,
    baseline: str | None,
    chance: float | None,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Print what the variants keep of the tuned score; return the exit code, 3 if a file could not be read."""
    from rasched.analysis.kept_of_runs import kept_of_runs
    from rasched.analysis.load import read_results

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude one another: leave one of the two out")
    results = read_results(folders)
    found = kept_of_runs(results, metric, baseline, chance)
    if as_json:
        print_json(found.table.fill_nan(None).to_dicts())
    elif as_csv:
        found.table.write_csv(sys.stdout)
    else:
        console = Console(highlight=False)
        console.print(Text(f"kept: {found.description} over base rates, as part of the best constant rate's"))
        console.print(kept_as_table(found.table.to_dicts(), console.width))
        for sentence in found.notes:
            console.print(Text(sentence))
    return print_damaged(results.damaged)


def kept_as_table(rows: Sequence[dict[str, Any]], width: int) -> Table:
    """Return one line per task and method, the best of each task first; a narrow table lacks an interval."""
    wide = width >= _WIDE
    has_tasks = any(row["task"] for row in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="bold")
    for name in (*(["task"] if has_tasks else []), "variant"):
        table.add_column(name, overflow="fold")
    for name in ("kept", "95% CI", "vs constant", *(["95% CI"] if wide else []), *SPLITS):
        table.add_column(name, justify="right", no_wrap=True)
    order = list(dict.fromkeys(row["task"] for row in rows))
    for row in sorted(rows, key=lambda row: (order.index(row["task"]), -row["kept"])):
        cells = [
            f"{row['kept']:.2f}",
            f"{row['kept_low']:.2f} to {row['kept_high']:.2f}",
            f"{row['difference']:+.2f}",
            *([f"{row['difference_low']:+.2f} to {row['difference_high']:+.2f}"] if wide else []),
            *("" if math.isnan(row[name]) else f"{row[name]:.2f}" for name in SPLITS),
        ]
        table.add_row(*map(Text, [*([row["task"]] if has_tasks else []), row["method"], *cells]))
    return table


def print_comparison(comparison: Comparison, most: int | None = None) -> None:
    """Print the table and the answer in words.

    ``most`` is the number of rows that are shown; of more, the best ones and the baselines are.
    """
    console = Console(highlight=False)
    console.print(Text(comparison_title(comparison)))
    console.print(comparison_table(comparison, console.width, most))
    for sentence in (*comparison.answer, *comparison.notes):
        console.print(Text(sentence))


def comparison_table(comparison: Comparison, width: int, most: int | None = None) -> Table:
    """Return the variants as a table, the best first; a narrow one leaves out what ``--json`` has too."""
    wide, rows = width >= _WIDE, list(comparison.rows)
    if most is not None and len(rows) > most:
        rows = [row for index, row in enumerate(rows) if index < most or is_marked(row, comparison.marks)]
    columns = variant_columns(rows)
    num_left = len(columns)
    columns |= score_columns(rows, wide)
    if comparison.num_tests:
        columns |= difference_columns(rows, comparison.marks, wide)
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="bold")
    for index, name in enumerate(columns):
        if index < num_left:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name.strip(), justify="right", no_wrap=name.startswith(INTERVAL))
    for index in range(len(rows)):
        cells = (column[index] for column in columns.values())
        table.add_row(*map(Text, cells), style="bold" if index == 0 else None)
    if len(rows) < len(comparison.rows):
        table.caption = f"and {len(comparison.rows) - len(rows)} more variants"
        table.caption_justify = "left"
    return table
