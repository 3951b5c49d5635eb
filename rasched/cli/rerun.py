"""``rasched rerun``: the same run from its record, and whether its numbers agree."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rasched.cli.output import print_json, relative_path
from rasched.errors import RunFailed

if TYPE_CHECKING:
    from rasched.runner.rerun import Rerun


def rerun(folder: str, output: str | None, trust: bool, as_json: bool) -> int:
    """Train a run again and print whether the numbers agree; return the exit code, 3 if they do not."""
    from rasched.runner.interrupts import INTERRUPTS
    from rasched.runner.process_setup import import_torch

    import_torch()
    from rasched.analysis.run_folder import check_folder
    from rasched.runner.progress import ProgressBar, ProgressReporter
    from rasched.runner.rerun import rerun as train_again

    progress = ProgressBar() if sys.stderr.isatty() else ProgressReporter()
    with INTERRUPTS.handled():
        done = train_again(check_folder(folder), None if output is None else Path(output), progress, trust)
    if as_json:
        names = ("is_identical", "num_equal_rows", "first_difference", "differences")
        folders = {"original": str(done.original.absolute()), "folder": str(done.folder.absolute())}
        print_json({**folders, "status": done.result.status, **{name: asdict(done)[name] for name in names}})
    else:
        _print(done)
    return 0 if done.is_identical else RunFailed.exit_code


def _print(done: Rerun) -> None:
    print(f"{relative_path(done.original)} again in {relative_path(done.folder)}: {done.result.status}")
    if done.result.error is not None:
        print(f"error: {done.result.error}")
    if done.is_identical:
        print(f"the numbers agree to the byte ({done.num_equal_rows:,} rows)")
    elif done.first_difference is not None:
        print(f"the numbers do not agree: {done.first_difference}")
    else:
        print(f"the first {done.num_equal_rows:,} rows agree; one of the two has more")
    for sentence in done.differences:
        print(f"different {sentence}")
    if not done.differences and not done.is_identical:
        print("settings, versions, commit and machine are the same")
