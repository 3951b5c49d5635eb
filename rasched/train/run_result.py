"""RunStatus and RunResult: how a run ended. Imports no torch, so that every process can read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

CurveData: TypeAlias = Mapping[str, Any]  # NumPy arrays of shape (points,): ``step``, and each curve by its name


class RunStatus(StrEnum):
    """The state of a run, as ``run.json`` and ``sweep.json`` hold it."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    MISSING = "missing"  # planned, but it left no run.json


@dataclass(frozen=True)
class RunResult:
    """The outcome of one run.

    Training sets ``status``, ``steps`` (environment steps) and ``error``. Whoever writes the run's files adds the rest
    by :func:`dataclasses.replace`. ``exit_code`` is None for a run that has not ended.
    """

    status: RunStatus
    steps: int = 0
    error: str | None = None  # why it failed or stopped, in one line
    exit_code: int | None = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    folder: Path | None = None
    curves: CurveData | None = None  # what a sweep draws of it; None for a run that was trained by itself
    exception: Exception | None = field(default=None, compare=False, repr=False)  # never sent to another process

    @property
    def is_done(self) -> bool:
        """Whether the run reached its last step."""
        return self.status is RunStatus.DONE
