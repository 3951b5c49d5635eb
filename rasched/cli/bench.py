"""``rasched bench`` prints a measurement as one table."""

from __future__ import annotations

import json
from dataclasses import asdict

from rasched.errors import UsageError

BENCHMARKS = ("observe",)


def print_benchmark(name: str, *, as_json: bool) -> None:
    """Measure and print the results; an unknown name is a UsageError."""
    if name not in BENCHMARKS:
        raise UsageError(f"benchmark {name!r} is unknown; known: {', '.join(BENCHMARKS)}")
    from rasched.cli.bench_observe import measure

    costs = measure()
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Cost of one call, median over rounds in which all take turns", title_justify="left")
    for column in ("case", "scheduler"):
        table.add_column(column)
    table.add_column("ns per call", justify="right")
    table.add_column("observe, relative", justify="right")
    for index, cost in enumerate(costs):
        is_first_of_case = index == 0 or costs[index - 1].case != cost.case
        if is_first_of_case and index:
            table.add_section()
        ratio = "" if cost.observe_ratio == 1 else f"{cost.observe_ratio:.2f} of this"
        table.add_row(cost.case if is_first_of_case else "", cost.scheduler, f"{cost.nanoseconds:,.0f}", ratio)
    Console().print(table)
