"""``rasched board`` opens TensorBoard on a folder of runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rasched.cli.output import relative_path
from rasched.errors import UsageError

_MOST_TICKED = 40  # runs: of more, TensorBoard ticks none


def open_tensorboard(folder: str, options: Sequence[str]) -> None:
    """Replace this process by TensorBoard, which then receives the signals and sets the exit code.

    Of a sweep of more runs than TensorBoard ticks, its summary is opened.
    """
    if folder.startswith("-"):  # `rasched board --port 7007`
        folder, options = "outputs", [folder, *options]
    if not Path(folder).is_dir():
        raise UsageError(f"there is no folder {folder} here; `rasched run` makes one, or name it: rasched board FOLDER")
    summary = Path(folder) / "_summary"
    if summary.is_dir() and sum(1 for path in Path(folder).glob("*/run.json")) + _num_folders(summary) > _MOST_TICKED:
        print(
            f"{relative_path(summary)}: a curve with its band per variant; for the runs, of which TensorBoard shows "
            f"none until some are ticked: tensorboard --logdir {relative_path(Path(folder))}"
        )
        folder = str(summary)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", "--logdir", folder, *options])


def _num_folders(folder: Path) -> int:
    return sum(1 for path in folder.iterdir() if path.is_dir())
