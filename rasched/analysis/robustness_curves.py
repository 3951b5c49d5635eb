"""The picture of a study over base learning rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from rasched.analysis.curves import LINES
from rasched.analysis.kept import iqm_of_last_axis
from rasched.analysis.plots import STYLE, save_figure

NUM_COLUMNS = 3


def draw_robustness(scores: pl.DataFrame, path: str | Path) -> None:
    """Draw the score of each method against the base rate, one panel per task, and write the picture.

    ``scores`` has the columns ``task``, ``method``, ``lr``, ``seed`` and ``score``. A point is the interquartile mean
    over the seeds.
    """
    import matplotlib

    tasks = scores.partition_by("task", maintain_order=True)
    methods = scores["method"].unique(maintain_order=True).to_list()
    num_rows = -(-len(tasks) // NUM_COLUMNS)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 2.7 * num_rows + 0.8), layout="constrained")
        panels = figure.subplots(num_rows, NUM_COLUMNS, squeeze=False).flat
        for panel, of_task in zip(panels, tasks, strict=False):
            for index, method in enumerate(methods):
                rates, values = _curve(of_task.filter(pl.col("method") == method))
                colour = matplotlib.colormaps["viridis"](0.85 * index / max(1, len(methods) - 1))
                panel.plot(rates, values, color=colour, linestyle=LINES[index % 4], linewidth=1.2, label=method)
            panel.set_xscale("log")
            panel.set_title(of_task["task"][0], fontsize=9)
            panel.set_xlabel("base learning rate")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
        figure.axes[0].set_ylabel("score, 1 is the best policy")
        for unused in figure.axes[len(tasks) :]:
            unused.set_visible(False)
        save_figure(figure, path, dpi=150)


def _curve(runs: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    parts = runs.sort("lr", "seed").group_by("lr", maintain_order=True)
    points = [(lr, float(iqm_of_last_axis(part["score"].to_numpy()))) for (lr,), part in parts]
    rates, values = np.array(points, np.float64).T if points else np.empty((2, 0))
    return rates, values
