"""``rasched plot``: a picture beside the records of each run of a folder."""

from __future__ import annotations

from pathlib import Path


def draw(folder: str) -> None:
    """Draw every run at and below the folder; one without records is passed over."""
    from rasched.analysis.load import read_results
    from rasched.cli.output import shown
    from rasched.runner.run import PICTURE, plot_run

    for run in read_results([folder]):
        try:
            plot_run(run.folder)
        except (FileNotFoundError, ValueError) as error:
            print(f"{shown(run.folder)}: {error}")
        else:
            print(shown(Path(run.folder) / PICTURE))
