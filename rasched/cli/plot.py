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
FORMATS = (".png", ".svg", ".pdf")


def plot(folders: Sequence[str], kind: str | None, metric: str | None, output: str | None) -> int:
    """Plot a sweep and print the picture's path; return the exit code, 3 if a file could not be read."""
    from rasched.analysis.load import read_results

    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind} is unknown; known: {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
    if output is not None and Path(output).suffix not in FORMATS:
        raise UsageError(f"--output {output} must end in one of {', '.join(FORMATS)}")
    results = read_results(folders)
    all_folders = {run.folder for run in results}
    runs = [run for run in results if run.folder.parent not in all_folders]  # without the controls inside runs
    is_single = [run.folder for run in runs] == [Path(folder) for folder in folders]
    if (kind or ("runs" if is_single else "curves")) == "runs":
        _plot_runs(runs)
    else:
        _plot_sweep(results, kind or "curves", metric, Path(output or Path(folders[0]) / f"{kind or 'curves'}.png"))
    return print_damaged(results.damaged)


def _plot_sweep(results: Results, kind: str, metric: str | None, path: Path) -> None:
    from rasched.analysis import sweep_plots
    from rasched.cli.output import shown

    try:
        if kind == "curves":
            sweep_plots.plot_curves(results, path)
        elif kind == "robustness":
            sweep_plots.plot_robustness(results.compare(metric), path)
        else:
            sweep_plots.plot_profile(results.compare(metric), path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name another file with --output") from error
    print(shown(path))


def _plot_runs(runs: Sequence[Run]) -> None:
    """Draw each run, beside its control if it has one."""
    from rasched.analysis.run_folder import require_curves
    from rasched.cli.output import shown
    from rasched.runner.run import PICTURE, plot_run

    require_curves(runs)
    for run in runs:
        try:
            plot_run(run.folder)
        except (FileNotFoundError, ValueError) as error:
            print(f"{shown(run.folder)}: {error}")
        else:
            print(shown(Path(run.folder) / PICTURE))
