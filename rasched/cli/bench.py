"""``rasched bench``: print a measurement as one table."""

from __future__ import annotations

import json
from dataclasses import asdict

from rasched.errors import UsageError

BENCHES = ("observe",)


def show(what: str, *, as_json: bool) -> None:
    """Measure, and print; an unknown name is a UsageError."""
    if what not in BENCHES:
        raise UsageError(f"bench {what!r} is unknown; known: {', '.join(BENCHES)}")
    from rasched.cli.bench_observe import measure

    costs = measure()
    if as_json:
        print(json.dumps([asdict(cost) for cost in costs]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="One call, medians of rounds in which all take turns", title_justify="left")
    for column in ("case", "scheduler"):
        table.add_column(column)
    table.add_column("ns a call", justify="right")
    table.add_column("observe takes", justify="right")
    for i, cost in enumerate(costs):
        new = i == 0 or costs[i - 1].case != cost.case
        if new and i:
            table.add_section()
        ratio = "" if cost.observe_ratio == 1 else f"{cost.observe_ratio:.2f} of it"
        table.add_row(cost.case if new else "", cost.scheduler, f"{cost.nanoseconds:,.0f}", ratio)
    Console().print(table)
