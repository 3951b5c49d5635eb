"""Pictures of sweeps: reward and learning rate over steps, score over base rate, and performance profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rasched.analysis.compare import Comparison, VariantRow
from rasched.analysis.load import Results, scan_metrics
from rasched.analysis.palette import numbered_style, rule_style
from rasched.analysis.plots import STYLE, save_figure
from rasched.analysis.run_folder import Run, require_curves
from rasched.analysis.statistics import performance_profile
from rasched.analysis.variants import Value, find_variants, label
from rasched.errors import UsageError

Panel: TypeAlias = dict[str, list[int]]  # the runs of each line, by its label
RETURNS = {  # the first that a run has is drawn, under this name
    "eval/return": "return in evaluation",
    "rollout/ep_rew_mean": "episode return",
    "train/reward": "reward per step",
}
RATE = "train/lr"
_BASE_RATE = "optimizer.lr"
_POINTS = 100  # of a line: each is the mean over a stretch of steps
_MOST_LINES, _MOST_PANELS = 12, 6


def plot_curves(results: Results, path: Path) -> None:
    """Plot reward and learning rate over steps: mean and 95 % band over seeds, one column of panels per base rate.

    The mean and band of a learning rate are computed on the log scale. The suffix of ``path`` is the format.

    Raises:
        UsageError: No run recorded a reward.

    """
    require_curves(results)
    done = [run for run in results if run.status == "done"]
    panels = find_panels(done)
    table = curve_table(done, results.damaged)
    column = next((name for name in RETURNS if table[name].count()), None)
    if column is None:
        raise UsageError("there is nothing to plot: no finished run recorded a reward")

    def draw(figure: Any) -> None:
        axes = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False, height_ratios=[3, 2])
        for place, (title, lines) in enumerate(panels.items()):
            above, below = axes[:, place]
            above.set_title(title, fontsize=9)
            _set_log_scale(below.yaxis)  # before there are data: afterwards a rate that is constant has no range
            for number, (name, runs) in enumerate(lines.items()):
                own = table.filter(pl.col("run").is_in(runs))
                style = line_style(name, number)
                _draw_band(above, own, column, name, style, on_log_scale=False)
                _draw_band(below, own, RATE, name, style, on_log_scale=True)
            below.set_xlabel("environment steps")
        axes[0, 0].set_ylabel(RETURNS[column])
        axes[1, 0].set_ylabel("learning rate")
        _legend(figure, axes[0, 0])
        figure.suptitle(_title(done), fontsize=9)

    _save(draw, (2.2 + 2.4 * len(panels), 4.6), path)


def plot_robustness(comparison: Comparison, path: Path) -> None:
    """Plot score over base rate, one line per rule with 95 % intervals; the best constant rate is marked.

    Raises:
        UsageError: The runs have fewer than two base rates.

    """
    lines = lines_by_base_rate(comparison)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for number, (name, rows) in enumerate(lines.items()):
            rows = sorted(rows, key=_rate)
            colour, line = line_style(name, number)
            rates = [_rate(row) for row in rows]
            # bars beside one another: bands of several rules would cover each other
            beside = [rate * 1.03 ** (number - (len(lines) - 1) / 2) for rate in rates]
            middle = np.array([row.iqm for row in rows])
            bars = [middle - [row.low for row in rows], [row.high for row in rows] - middle]
            axes.errorbar(
                beside, middle, bars, color=colour, linestyle=line, marker="o", ms=3, elinewidth=0.8, label=name
            )
        constant = [row for row in comparison.rows if row.variant.get("rule") == "none" and _BASE_RATE in row.variant]
        if constant:
            axes.axvline(_rate(constant[0]), color="#777777", linewidth=0.8, linestyle=(0, (2, 2)))
            axes.annotate(
                f"best constant rate {_rate(constant[0]):g}",
                (_rate(constant[0]), 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=8,
            )
        _set_log_scale(axes.xaxis, sorted({_rate(row) for rows in lines.values() for row in rows}))
        axes.set_xlabel("base learning rate")
        axes.set_ylabel(comparison.choice.description)
        _legend(figure, axes)

    _save(draw, (6.5, 4.0), path)


def lines_by_base_rate(comparison: Comparison) -> dict[str, list[VariantRow]]:
    """Return the variants of each line of score over base rate; UsageError if there are fewer than two base rates."""
    lines: dict[str, list[VariantRow]] = {}
    for row in comparison.rows:
        if isinstance(row.variant.get(_BASE_RATE), (int, float)):
            lines.setdefault(_without_rate(row.variant), []).append(row)
    if max((len(rows) for rows in lines.values()), default=0) < 2:
        raise UsageError("--kind robustness needs several base rates, as optimizer.lr=0.03,0.1,0.3")
    return lines


def plot_profile(comparison: Comparison, path: Path) -> None:
    """Plot performance profiles: the part of a variant's runs with a score above each threshold."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        rows = comparison.rows[:_MOST_LINES]
        scores = np.concatenate([row.scores.scores for row in rows])
        thresholds = np.linspace(scores.min(), scores.max(), 400)
        for number, row in enumerate(rows):
            colour, line = line_style(row.label, number)
            axes.plot(
                thresholds,
                performance_profile(row.scores.scores, thresholds),
                color=colour,
                linestyle=line,
                label=row.label,
            )
        axes.set_xlabel(f"{comparison.choice.description} above")
        axes.set_ylabel("part of the runs")
        axes.set_ylim(0, 1.02)
        _legend(figure, axes)

    _save(draw, (6.5, 4.0), path)


def find_panels(runs: Sequence[Run]) -> dict[str, Panel]:
    """Return the lines of each panel; the base rates have a panel each if there are at most six."""
    if not runs:
        raise UsageError("there is nothing to plot: no run is done")
    variants = [dict(variant) for variant in find_variants(runs).of_runs]
    rates = sorted({str(v[_BASE_RATE]) for v in variants if _BASE_RATE in v}, key=float)
    split = 1 < len(rates) <= _MOST_PANELS
    panels: dict[str, Panel] = {f"base rate {rate}": {} for rate in rates} if split else {"": {}}
    for index, variant in enumerate(variants):
        title = f"base rate {variant[_BASE_RATE]}" if split else ""
        name = _without_rate(variant) if split else label(variant)
        panels[title].setdefault(name, []).append(index)
    return {title: dict(list(lines.items())[:_MOST_LINES]) for title, lines in panels.items()}


def curve_table(runs: Sequence[Run], damaged: list[str]) -> pl.DataFrame:
    """Return rows of ``run``, ``step`` and means over stretches of steps; the rate's is a mean of logarithms."""
    steps = max((run.steps or 0 for run in runs), default=0)
    width = max(1, -(-steps // _POINTS))
    metrics = scan_metrics(runs, [*RETURNS, RATE], damaged)
    end = ((pl.col("step") - 1) // width + 1) * width
    rate = pl.when(pl.col(RATE) > 0).then(pl.col(RATE)).log().mean().alias(RATE)
    return metrics.group_by("run", end.alias("step")).agg(pl.col([*RETURNS]).mean(), rate).collect()


def _draw_band(
    axes: Any, table: pl.DataFrame, column: str, name: str, style: tuple[str, object], on_log_scale: bool
) -> None:
    value = pl.col(column)
    error = (1.96 * value.std() / value.count().sqrt()).fill_null(0.0).alias("error")
    rows = table.filter(value.is_not_null()).group_by("step").agg(value.mean().alias("mean"), error).sort("step")
    # rounded, as a constant rate would else have a range of 1e-17, of which matplotlib can make no axis
    step, mean, half = (rows[key].to_numpy().round(12) for key in ("step", "mean", "error"))
    scale: Callable[[NDArray[np.float64]], NDArray[np.float64]] = np.exp if on_log_scale else np.asarray
    colour, line = style
    axes.fill_between(step, scale(mean - half), scale(mean + half), color=colour, alpha=0.1, linewidth=0)
    axes.plot(step, scale(mean), color=colour, linestyle=line, linewidth=1.3, label=name)


def line_style(name: str, number: int) -> tuple[str, object]:
    """Return the rule's style if nothing but the rule differs, so that it is the same in every picture."""
    rule = name.removeprefix("rule=")
    return rule_style(rule) if name.startswith("rule=") and " " not in rule else numbered_style(number)


def _without_rate(variant: Mapping[str, Value]) -> str:
    return label({key: value for key, value in variant.items() if key != _BASE_RATE})


def _rate(row: VariantRow) -> float:
    return float(row.variant[_BASE_RATE] or 0)


def _title(runs: Sequence[Run]) -> str:
    settings = runs[0].settings
    names = [str(settings.get(key, "")) for key in ("agent.name", "env.name")]
    return f"{' on '.join(names)}: {len(runs)} runs, mean and 95 % interval over seeds"


def _set_log_scale(axis: Any, ticks: Sequence[float] | None = None) -> None:
    """Make an axis logarithmic with plain numbers at its ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    if ticks is not None:
        axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        widest = 0.07 * max(map(len, labels)) + 0.5  # inches of a label with its line
        ncols = int(max(1, min(3, figure.get_figwidth() // widest)))
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=8)


def _save(draw: Callable[[Any], None], size: tuple[float, float], path: Path) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    # a name with a dollar sign is a name, and no formula
    with matplotlib.rc_context({**STYLE, "text.parse_math": False, "svg.hashsalt": "rasched"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        save_figure(figure, path)
