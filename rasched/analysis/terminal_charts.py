"""The pictures of ``rasched plot`` as charts for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from rasched.analysis.compare import Comparison, VariantRow
from rasched.analysis.load import Results
from rasched.analysis.run_folder import Run
from rasched.analysis.statistics import performance_profile
from rasched.analysis.sweep_plots import (
    RATE,
    RETURNS,
    Panel,
    curve_table,
    find_panels,
    line_style,
    lines_by_base_rate,
)
from rasched.analysis.terminal_plot import Chart, Line
from rasched.errors import UsageError

_MOST_LINES = 8  # more cannot be told apart


def curve_charts(results: Results) -> list[Chart]:
    """Return reward and learning rate over steps, means over seeds; of several base rates that of the best variant.

    Raises:
        UsageError: No run is done, or none recorded a reward.

    """
    done = [run for run in results if run.status == "done"]
    panels = find_panels(done)
    if len(panels) == 1:
        return _charts(done, next(iter(panels.values())), "", results.damaged)
    best = results.compare().rows[0].variant.get("optimizer.lr")
    title = f"base rate {best}"
    return _charts(done, panels[title], f", {title}, that of the best variant", results.damaged)


def run_charts(runs: Sequence[Run], damaged: list[str]) -> list[Chart]:
    """Return reward and learning rate of single runs over steps, one line per run."""
    lines = {_run_label(run): [index] for index, run in enumerate(runs)}
    return _charts(runs, lines, "", damaged)


def _run_label(run: Run) -> str:
    return " ".join(dict.fromkeys([f"rule={run.settings.get('rule.name')}", *run.overrides, f"seed={run.seed}"]))


def robustness_chart(comparison: Comparison) -> list[Chart]:
    """Return score over base rate, one line per rule; UsageError if the runs have fewer than two base rates."""
    lines = []
    for number, (name, rows) in enumerate(lines_by_base_rate(comparison).items()):
        points = sorted((float(row.variant["optimizer.lr"] or 0), row.iqm) for row in rows)
        x, y = np.array(points).T
        lines.append(Line(name, x, y, line_style(name, number)[0]))
    return [Chart(comparison.choice.description, "base learning rate", lines[:_MOST_LINES], log_x=True)]


def profile_chart(comparison: Comparison) -> list[Chart]:
    """Return the part of each variant's runs with a score above each threshold."""
    rows: Sequence[VariantRow] = comparison.rows[:_MOST_LINES]
    scores = np.concatenate([row.scores.scores for row in rows])
    x = np.linspace(scores.min(), scores.max(), 200)
    lines = [
        Line(row.label, x, performance_profile(row.scores.scores, x), line_style(row.label, number)[0])
        for number, row in enumerate(rows)
    ]
    return [Chart("part of the runs above", comparison.choice.description, lines)]


def _charts(runs: Sequence[Run], panel: Panel, note: str, damaged: list[str]) -> list[Chart]:
    table = curve_table(runs, damaged)
    column = next((name for name in RETURNS if table[name].count()), None)
    if column is None:
        raise UsageError("there is nothing to plot: no finished run recorded a reward")
    noun = RETURNS[column]
    chosen = list(panel.items())[:_MOST_LINES]
    rewards: list[Line] = []
    rates: list[Line] = []
    for number, (name, indices) in enumerate(chosen):
        own = table.filter(pl.col("run").is_in(indices)).group_by("step").agg(pl.col(column, RATE).mean()).sort("step")
        colour = line_style(name, number)[0]
        for lines, values in ((rewards, own[column]), (rates, own[RATE].exp())):
            present = values.is_not_null() & values.is_not_nan()
            x, y = (series.filter(present).cast(pl.Float64).to_numpy() for series in (own["step"], values))
            lines.append(Line(name, x, y, colour))
    more = f" (the first {_MOST_LINES} of {len(panel)} lines)" if len(panel) > _MOST_LINES else ""
    return [
        Chart(f"{noun}{note}{more}", "environment steps", rewards),
        Chart("learning rate, on a log scale", "environment steps", rates, log_y=True),
    ]
