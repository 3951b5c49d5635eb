"""``rasched board`` opens TensorBoard on a folder of runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rasched.errors import UsageError


def open_tensorboard(folder: str, options: Sequence[str]) -> None:
    """Replace this process by TensorBoard, which then receives the signals and sets the exit code."""
    if folder.startswith("-"):  # `rasched board --port 7007`
        folder, options = "outputs", [folder, *options]
    if not Path(folder).is_dir():
        raise UsageError(f"there is no folder {folder} here; `rasched run` makes one, or name it: rasched board FOLDER")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", "--logdir", folder, *options])
