"""What made a run: the command, the versions of the packages, the machine, and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import rasched
from rasched.records.files import write_file

DIFF = "uncommitted.diff"
_PACKAGES = ("rasched", "torch", "numpy", "hydra-core", "gymnasium", "polars", "tensorboard")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a number may depend on."""
    by_name = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            by_name[name] = version(name)
        except PackageNotFoundError:  # rasched itself, run from a checkout that is not installed
            continue
    return by_name


@lru_cache(maxsize=1)
def machine() -> dict[str, Any]:
    """Return what the last bits of a number may depend on: the system, the processor and torch's instructions."""
    import torch

    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def command() -> list[str]:
    """Return the arguments that started this process."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


class GitState:
    """The current commit and uncommitted changes: of the working directory, else of rasched's own checkout."""

    def __init__(self, folder: Path) -> None:
        """Ask git, and write the diff, if there is one, into ``folder``: a run's, or a sweep's for all its runs."""
        self.commit: str | None = None
        self.diff: Path | None = None
        for directory in (Path.cwd(), Path(rasched.__file__).parent):
            commit = _run_git(directory, "rev-parse", "HEAD")
            if commit is not None:
                self.commit = commit.strip()
                diff = _run_git(directory, "diff", "HEAD")
                if diff:
                    self.diff = folder / DIFF
                    write_file(self.diff, diff)
                return

    def entries(self, folder: Path) -> dict[str, Any]:
        """Return the entries of the ``run.json`` in ``folder``; the path of the diff is relative to it."""
        diff = os.path.relpath(self.diff, folder) if self.diff else None
        return {"git": {"commit": self.commit, "dirty": bool(diff), "diff": diff}}


def _run_git(directory: Path, *arguments: str) -> str | None:
    """Return git's output, or None without git, outside a repository, or if git does not answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
