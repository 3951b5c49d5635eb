"""``rasched plot``: one picture of a sweep, or one per run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rasched.cli.errors import print_damaged
from rasched.errors import UsageError
from rasched.validation import did_you_mean

if TYPE_CHECKING:
    from rasched.analysis.load import Results
    from rasched.analysis.run_folder import Run

KINDS = ("curves", "robustness", "profile", "runs")
_MOST_COLUMNS = 160  # of a chart in the terminal
_ROWS = (12, 7)  # of the upper and of the lower chart
FORMATS = (".png", ".svg", ".pdf")


def plot(folders: Sequence[str], kind: str | None, metric: str | None, output: str | None, show: bool = False) -> int:
    """Plot a sweep and print the picture's path; return the exit code, 3 if a file could not be read.

    ``show`` draws in the terminal instead, and writes nothing.
    """
    from rasched.analysis.load import read_results

    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind} is unknown; known: {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
    if output is not None and Path(output).suffix not in FORMATS:
        raise UsageError(f"--output {output} must end in one of {', '.join(FORMATS)}")
    if show and output is not None:
        raise UsageError("--show draws in the terminal and writes no file: leave out --output")
    results = read_results(folders)
    all_folders = {run.folder for run in results}
    runs = [run for run in results if run.folder.parent not in all_folders]  # without the controls inside runs
    is_single = [run.folder for run in runs] == [Path(folder) for folder in folders]
    chosen = kind or ("runs" if is_single else "curves")
    if show:
        _show(results, runs, chosen, metric)
    elif chosen == "runs":
        _plot_runs(runs)
    else:
        _plot_sweep(results, chosen, metric, Path(output or Path(folders[0]) / f"{chosen}.png"))
    return print_damaged(results.damaged)


def _show(results: Results, runs: Sequence[Run], kind: str, metric: str | None) -> None:
    """Draw in the terminal: charts one below another, and what their letters stand for."""
    from rich.console import Console

    from rasched.analysis import terminal_charts
    from rasched.analysis.run_folder import require_curves
    from rasched.analysis.terminal_plot import render_chart, render_legend

    if kind in ("curves", "runs"):
        require_curves(runs)
    if kind == "curves":
        charts = terminal_charts.curve_charts(results)
    elif kind == "runs":
        charts = terminal_charts.run_charts(runs, results.damaged)
    elif kind == "robustness":
        charts = terminal_charts.robustness_chart(results.compare(metric))
    else:
        charts = terminal_charts.profile_chart(results.compare(metric))
    console = Console(highlight=False)
    width = min(console.width, _MOST_COLUMNS)
    for number, chart in enumerate(charts):
        console.print(render_chart(chart, width, _ROWS[number] if len(charts) > 1 else sum(_ROWS)))
    console.print(render_legend(charts[0].lines, width))


def _plot_sweep(results: Results, kind: str, metric: str | None, path: Path) -> None:
    from rasched.analysis import sweep_plots
    from rasched.cli.output import relative_path

    try:
        if kind == "curves":
            sweep_plots.plot_curves(results, path)
        elif kind == "robustness":
            sweep_plots.plot_robustness(results.compare(metric), path)
        else:
            sweep_plots.plot_profile(results.compare(metric), path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name another file with --output") from error
    print(relative_path(path))


def _plot_runs(runs: Sequence[Run]) -> None:
    """Draw each run, beside its control if it has one."""
    from rasched.analysis.run_folder import require_curves
    from rasched.cli.output import relative_path
    from rasched.runner.run import PICTURE, plot_run

    require_curves(runs)
    for run in runs:
        try:
            plot_run(run.folder)
        except (FileNotFoundError, ValueError) as error:
            print(f"{relative_path(run.folder)}: {error}")
        else:
            print(relative_path(Path(run.folder) / PICTURE))
