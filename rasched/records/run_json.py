"""``run.json``: what a run is, how it ended and what made it, replaced as a whole at every change."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import rasched

RECORD = "run.json"
DIFF = "uncommitted.diff"
_PACKAGES = ("rasched", "torch", "numpy", "hydra-core", "gymnasium", "polars", "tensorboard")


def now() -> str:
    """Return the moment in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file as a whole or not at all: a reader, or a kill, meets the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(document(value), encoding="utf-8")
    temporary.replace(path)


def document(value: Mapping[str, Any]) -> str:
    """Return JSON with a line an entry, and a line a row of a table; `indent` would cost five times as much."""
    entries = (f"  {json.dumps(key)}: {_entry(found)}" for key, found in value.items())
    return "{\n" + ",\n".join(entries) + "\n}\n"


def _entry(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"
    return json.dumps(value)


def read_record(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` says; nothing where there is none, or none that can be read."""
    try:
        return dict(json.loads((folder / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def is_done(folder: Path, config_hash: str) -> bool:
    """Return whether the folder holds that run, finished."""
    record = read_record(folder)
    return record.get("status") == "done" and record.get("config_hash") == config_hash


class RunJson:
    """The record of one run; :meth:`update` changes entries and writes the file."""

    def __init__(self, folder: Path, **entries: Any) -> None:
        self.folder = folder
        self.entries: dict[str, Any] = entries

    @classmethod
    def of(cls, folder: Path, **entries: Any) -> RunJson:
        """Return the record that stands in a folder, else one with these entries."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, **{**entries, "scores": {}, **read_record(folder)})

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


class GitState:
    """The commit that made a run, and what was not committed: of the current folder, else of rasched's own checkout."""

    def __init__(self, folder: Path) -> None:
        """Ask git, and put the diff, if there is one, into ``folder``: a run's, or a sweep's for all its runs."""
        self.commit: str | None = None
        self.diff: Path | None = None
        for place in (Path.cwd(), Path(rasched.__file__).parent):
            commit = _git(place, "rev-parse", "HEAD")
            if commit is not None:
                self.commit = commit.strip()
                self._keep(_git(place, "diff", "HEAD"), folder / DIFF)
                return

    def _keep(self, diff: str | None, path: Path) -> None:
        if diff:
            path.write_text(diff, encoding="utf-8")
            self.diff = path

    def entries(self, folder: Path) -> dict[str, Any]:
        """Return what the ``run.json`` in ``folder`` says; the diff is named as seen from there."""
        diff = os.path.relpath(self.diff, folder) if self.diff else None
        return {"git": {"commit": self.commit, "dirty": bool(diff), "diff": diff}}


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says, or None without git, outside a repository, or where git does not answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
