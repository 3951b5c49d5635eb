"""``run.json``: what a run is, how it ended and what made it, replaced as a whole at every change."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import rasched
from rasched.results.load import RECORD

DIFF = "uncommitted.diff"
_PACKAGES = ("rasched", "torch", "numpy", "hydra-core", "gymnasium", "polars", "tensorboard")


def now() -> str:
    """Return the moment in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file as a whole or not at all: a reader, or a kill, meets the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


class Record:
    """The record of one run; :meth:`update` changes entries and writes the file."""

    def __init__(self, folder: Path, **entries: Any) -> None:
        self.folder = folder
        self.entries: dict[str, Any] = entries

    def update(self, **entries: Any) -> None:
        """Set entries and write ``run.json``."""
        self.entries |= entries
        write_json(self.folder / RECORD, self.entries)


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a number may depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # rasched itself, run from a checkout that is not installed
            continue
    return found


def command() -> list[str]:
    """Return the words that started this process."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


class Git:
    """The commit that made a run, and what was not committed: of the current folder, else of rasched's own checkout."""

    def __init__(self) -> None:
        self.commit: str | None = None
        self.diff = ""
        for folder in (Path.cwd(), Path(rasched.__file__).parent):
            commit = _git(folder, "rev-parse", "HEAD")
            if commit is not None:
                self.commit = commit.strip()
                self.diff = _git(folder, "diff", "HEAD") or ""
                return

    def entries(self) -> dict[str, Any]:
        """Return what ``run.json`` says; the diff stands beside it, in a file of its own."""
        return {"git": {"commit": self.commit, "dirty": bool(self.diff), "diff": DIFF if self.diff else None}}

    def write(self, folder: Path) -> None:
        """Put the diff beside the record, if there is one."""
        if self.diff:
            (folder / DIFF).write_text(self.diff, encoding="utf-8")


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None without git, outside a repository, or where git does not answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
