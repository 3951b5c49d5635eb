"""``rasched plot``: a picture beside the records of each run of a folder."""

from __future__ import annotations

from pathlib import Path

from rasched.errors import UsageError


def draw(folder: str) -> None:
    """Draw every run at and below the folder; one without records is passed over."""
    from rasched.analysis.load import load_sweep
    from rasched.cli.output import shown
    from rasched.runner.run import PICTURE, plot_run

    try:
        runs = load_sweep(folder).runs
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no folder {folder}; `rasched run` makes one, or name it: rasched plot FOLDER"
        ) from error
    if not runs:
        raise UsageError(f"{folder} holds no run; name a run's folder, or one above")
    for run in runs:
        try:
            plot_run(run.folder)
        except (FileNotFoundError, ValueError) as error:
            print(f"{shown(run.folder)}: {error}")
        else:
            print(shown(Path(run.folder) / PICTURE))
