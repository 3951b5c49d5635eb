"""Let one operation on a file fail, once or from then on, in a run and in a sweep; then resume."""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safety.commands import Outcome, run
from safety.comparison import Records, leftovers, read_records

CASES = {
    "run": ("run", "steps=60", "logger.checkpoint_every=20", "control=false", "logger.plot=false", "hydra.run.dir=out"),
    "sweep": (
        *("sweep", "steps=60", "logger.checkpoint_every=20", "optimizer=sgd,adam", "seed=0,1", "-j", "1"),
        "hydra.sweep.dir=out",
    ),
}
_FUNCTIONS = ("open", "replace", "rename", "unlink", "mkdir", "rmdir", "fsync")  # of os


class FailingOperations:
    """Counts the operations that open, write, rename or delete files of relative paths, and lets some fail."""

    def __init__(
        self, log: Path, fail_at: int | None = None, forever: bool = False, number: int = errno.ENOSPC
    ) -> None:
        self.log, self.fail_at, self.forever, self.number = log, fail_at, forever, number
        self.count = 0

    def install(self) -> None:
        """Replace the functions of this process."""
        from rasched.records import files

        self._log_file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for name in _FUNCTIONS:
            setattr(os, name, self._wrap(name, getattr(os, name)))
        io.open = builtins.open = self._wrap("open", io.open)  # type: ignore[assignment]
        operations = self

        class FailingFile(io.FileIO):
            def write(self, data: Any) -> int:
                operations.happen("write", self.name)
                return super().write(data)

            def truncate(self, size: int | None = None) -> int:
                operations.happen("truncate", self.name)
                return super().truncate(size)

        files.FileIO = FailingFile  # type: ignore[misc]

    def _wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            is_ours = isinstance(path, int) if name == "fsync" else _is_relative(path)
            if is_ours:
                self.happen(name, path)
            return function(path, *args, **kwargs)

        return call

    def happen(self, name: str, path: Any) -> None:
        """Count an operation, and raise if it is the one to fail."""
        self.count += 1
        os.write(self._log_file, f"{name} {path}\n".encode())
        if self.fail_at is not None and (self.count == self.fail_at or (self.forever and self.count > self.fail_at)):
            raise OSError(self.number, os.strerror(self.number), None if isinstance(path, int) else os.fspath(path))


def _is_relative(path: Any) -> bool:
    return not isinstance(path, int) and not os.path.isabs(os.fspath(path))


def undisturbed(root: Path, case: str) -> tuple[Records, list[str]]:
    """Return the records of an undisturbed command, and its operations in their order."""
    outcome = run(root / "whole", *CASES[case], prepare=FailingOperations(root / "log").install)
    assert outcome.code == 0, outcome
    records = read_records(root / "whole/out")
    shutil.rmtree(root / "whole")
    return records, (root / "log").read_text().splitlines()


def fail_and_resume(root: Path, case: str, fail_at: int, forever: bool, whole: Records) -> tuple[Outcome, str]:
    """Let operations fail, resume without failures, and return the outcome and what is wrong, if anything is."""
    here, number = root / "cut", (errno.ENOSPC, errno.EIO)[fail_at % 2]
    shutil.rmtree(here, ignore_errors=True)
    failing = FailingOperations(root / "log", fail_at, forever, number)
    outcome = run(here, *CASES[case], prepare=failing.install)
    if outcome.code not in (0, 2, 3):
        return outcome, f"exit code {outcome.code}"
    if "Traceback" in outcome.err or (outcome.code and not outcome.err.strip()):
        return outcome, "no sentence"
    is_begun = (here / "out/run.json").exists() or (here / "out/sweep.json").exists()
    if not is_begun:  # there is nothing to resume
        return outcome, "" if outcome.code else "no records"
    resumed = run(here, "resume", "out")
    if resumed.code != 0 or "Traceback" in resumed.err:
        return resumed, f"not resumed, after {outcome}"
    left = leftovers(here / "out")
    if outcome.code == 0 and left and not forever:  # what could not be deleted is said, or deleted by the next command
        return outcome, f"left {left}"
    return outcome, whole.difference(read_records(here / "out"))
