"""The picture of a run: reward above, learning rate below, over the same steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COLUMNS = 1_000  # stretches of steps that are told apart: more than a printed column has dots to show
SMOOTHING = 50  # the running mean covers this part of the run
DARK, FAINT, BLUE = "#111111", "#c8c8c8", "#0b4f8a"  # in grey still black, light and dark
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.xmargin": 0.01,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
}


def lr_vs_reward(metrics: pl.DataFrame, path: str | Path, title: str | None = None) -> None:
    """Draw reward and learning rate of one run over its steps, and write the picture (the suffix says the format).

    Above, the reward at full resolution is faint (the range it covers, in a long run), its running mean over a fiftieth
    of the run is dark, and evaluations, where there are any, are dots with an axis of their own. Below, the learning
    rate stands on a log scale, as rules move it by factors. `metrics` are :attr:`rasched.analysis.load.Run.metrics`. A
    ValueError says that there is nothing to draw.
    """
    if not any(len(_points(metrics, name)[0]) for name in ("train/reward", "train/lr")):
        raise ValueError("there is nothing to draw: the run recorded neither a reward nor a learning rate")
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 4.3), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        _draw_reward(above, metrics)
        _draw_rate(below, *_points(metrics, "train/lr"))
        figure.align_ylabels()
        if title:
            figure.suptitle(title, fontsize=9)
        figure.savefig(path, dpi=200)


def _points(metrics: pl.DataFrame, name: str) -> tuple[NDArray[np.int64], Floats]:
    """Pick the steps that have a finite value, and the values."""
    if name not in metrics.columns:
        return np.empty(0, np.int64), np.empty(0)
    steps, values = metrics["step"].to_numpy(), metrics[name].fill_null(np.nan).to_numpy()
    finite = np.isfinite(values)
    return steps[finite], values[finite]


def _draw_reward(axes: Any, metrics: pl.DataFrame) -> None:
    steps, reward = _points(metrics, "train/reward")
    if len(steps):
        window = len(steps) // SMOOTHING
        middles, lowest, highest = _ranges(steps, reward)
        if len(middles) < len(steps):
            axes.fill_between(middles, lowest, highest, color=FAINT, linewidth=0, label="reward: range")
        else:
            colour, marker = (FAINT, "") if window > 1 else (DARK, ".")
            axes.plot(steps, reward, color=colour, linewidth=0.6, marker=marker, label="reward")
        if window > 1:
            shown, means = _running_mean(steps, reward, window)
            span = EngFormatter(sep="")(round(window * (steps[-1] - steps[0]) / (len(steps) - 1)))
            axes.plot(shown, means, color=DARK, linewidth=1.4, label=f"mean over {span} steps")
        _legend(axes)
    axes.set_ylabel("reward per step")
    steps, returns = _points(metrics, "eval/return")
    if len(steps):  # sums over episodes, on a scale of their own
        right = axes.twinx()
        right.spines["right"].set_visible(True)
        right.plot(steps, returns, "o", color=BLUE, markersize=3.5, markerfacecolor="white")
        right.set_ylabel("return in evaluation (o)", color=BLUE)


def _draw_rate(axes: Any, steps: NDArray[np.int64], rate: Floats) -> None:
    axes.set_yscale("log")
    axes.set_ylabel("learning rate")
    axes.set_xlabel("environment steps")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    steps, rate = steps[rate > 0], rate[rate > 0]
    if not len(steps):
        return
    middles, lowest, highest = _ranges(steps, rate)
    axes.plot(np.repeat(middles, 2), np.stack([lowest, highest], 1).ravel(), color=BLUE, linewidth=1.1)
    axes.axhline(rate[0], color=DARK, linewidth=0.8, linestyle=(0, (1, 3)), label=f"first rate {rate[0]:.3g}")
    _legend(axes)
    low, high = rate.min(), rate.max()
    if high < 4 * low:  # a log scale needs room: a decade around what hardly moves
        low, high = low / 3, high * 3
        axes.set_ylim(low, high)
    wide = high > 1e3 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 3.0), numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any) -> None:
    """Explain the marks above the panel, where no curve is."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0.1, handlelength=1.6)


def _ranges(steps: NDArray[np.int64], values: Floats) -> tuple[Floats, Floats, Floats]:
    """Cut the points into as many stretches as the eye tells apart: middle step, smallest and largest value of each."""
    if len(steps) <= 2 * COLUMNS:
        return steps.astype(np.float64), values, values
    cuts = np.linspace(0, len(steps), COLUMNS + 1).astype(np.int64)[:-1]
    ends = np.append(cuts[1:], len(steps)) - 1
    return (steps[cuts] + steps[ends]) / 2, np.minimum.reduceat(values, cuts), np.maximum.reduceat(values, cuts)


def _running_mean(steps: NDArray[np.int64], values: Floats, window: int) -> tuple[Floats, Floats]:
    """Mean of the values around a point, of fewer at the ends, where the window is cut off."""
    centres = np.unique(np.linspace(0, len(values) - 1, COLUMNS).astype(np.int64))
    first, last = np.maximum(centres - window // 2, 0), np.minimum(centres + (window + 1) // 2, len(values))
    summed = np.concatenate([[0.0], np.cumsum(values)])
    return steps[centres].astype(np.float64), (summed[last] - summed[first]) / (last - first)
