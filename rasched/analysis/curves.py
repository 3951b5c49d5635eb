"""The picture of a study: mean curves with their intervals."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from rasched.analysis.plots import STYLE, save_figure

LINES = ("-", "--", "-.", ":")  # told apart in grey too


def draw_curves(table: pl.DataFrame, label: str, path: str | Path) -> None:
    """Draw one mean curve per setting, with its 95 % interval as a band, and write the picture.

    ``table`` has the columns ``setting, step, mean, low, high``, one row per point; the path's suffix is the format.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.5, 4.0), layout="constrained")
        axes = figure.subplots()
        settings = table.partition_by("setting", maintain_order=True)
        colours = [matplotlib.colormaps["viridis"](0.85 * i / max(1, len(settings) - 1)) for i in range(len(settings))]
        for i, (curve, colour) in enumerate(zip(settings, colours, strict=True)):
            steps = curve["step"].to_numpy()
            axes.fill_between(
                steps, curve["low"].to_numpy(), curve["high"].to_numpy(), color=colour, alpha=0.25, linewidth=0
            )
            axes.plot(
                steps,
                curve["mean"].to_numpy(),
                color=colour,
                linestyle=LINES[i % 4],
                linewidth=1.3,
                label=curve["setting"][0],
            )
        axes.set_xlabel("environment steps")
        axes.set_ylabel(label)
        axes.legend(frameon=False, fontsize=8)
        save_figure(figure, path)
