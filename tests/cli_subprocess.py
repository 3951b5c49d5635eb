"""Starting the command in a process of its own, where signals and imports are the test."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def environment(*paths: Path) -> dict[str, str]:
    found = os.pathsep.join(map(str, [*paths, ROOT]))
    return {**os.environ, "PYTHONPATH": found, "OMP_NUM_THREADS": "1"}


def start(here: Path, *words: str, paths: tuple[Path, ...] = ()) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "rasched.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=here, env=environment(*paths), stdout=pipe, stderr=pipe, text=True)
