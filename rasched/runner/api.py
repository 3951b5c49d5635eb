"""``rasched.run`` and ``rasched.sweep``: what the commands do, from Python, with the same records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rasched.analysis.load import Results, load
from rasched.compose.composer import Composer
from rasched.errors import RunFailed
from rasched.runner import run as single
from rasched.runner.progress import ProgressReporter
from rasched.runner.sweep import plan_sweep
from rasched.runner.sweep import sweep as train_sweep

_PLAIN = re.compile(r"[\w.:/+-]+")


def run(overrides: Mapping[str, Any] | Sequence[str] = ()) -> Results:
    """Train one run, as ``rasched run`` does, and return its records.

    Args:
        overrides: ``{"rule": "kelly", "optimizer.lr": 0.1}``, or lines as on the command line.

    Raises:
        UsageError: A setting is wrong; nothing was written.
        RunFailed: The run started and failed; its folder keeps what it recorded.

    """
    lines = [f"{key}={format_value(value)}" for key, value in _pairs(overrides)] or _lines(overrides)
    spec, result = single.run(Composer.open(), lines, ProgressReporter())
    if result.error is not None:
        raise RunFailed(f"the run failed: {result.error}; what it recorded is in {spec.folder}")
    return load(spec.folder)


def sweep(
    overrides: Mapping[str, Any] | Sequence[str] | Sequence[Mapping[str, Any]], num_workers: int | None = None
) -> Results:
    """Train many runs, as ``rasched sweep`` does, and return their records; failed runs are among them.

    Args:
        overrides: ``{"rule": ["kelly", "none"], "seed": range(3)}`` for all combinations, lines as on the command line
            such as ``["rule=kelly,none", "seed=0..2"]``, or one mapping per run.
        num_workers: Processes that train; by default as many as the work is worth. 1 trains in this process.

    Raises:
        UsageError: A setting is wrong; nothing was written.

    """
    jobs = None
    if isinstance(overrides, Mapping):
        lines = [f"{key}={_choices(value)}" for key, value in overrides.items()]
    elif overrides and all(isinstance(entry, Mapping) for entry in overrides):
        lines, jobs = [], [[f"{key}={format_value(value)}" for key, value in _pairs(entry)] for entry in overrides]
    else:
        lines = _lines(overrides)
    summary = train_sweep(plan_sweep(Composer.open(), lines, num_workers, jobs), ProgressReporter())
    if summary.exit_code == 130:
        raise KeyboardInterrupt
    return load(summary.folder)


def format_value(value: Any) -> str:
    """Return a Python value in Hydra's grammar of overrides."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{format_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ",".join(map(format_value, value)) + "]"
    text = str(value)
    if not isinstance(value, str) or _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _choices(value: Any) -> str:
    is_choice = isinstance(value, Iterable) and not isinstance(value, (str, Mapping))
    return ",".join(map(format_value, value)) if is_choice else format_value(value)


def _pairs(overrides: object) -> list[tuple[str, Any]]:
    return list(overrides.items()) if isinstance(overrides, Mapping) else []


def _lines(overrides: object) -> list[str]:
    if isinstance(overrides, Iterable) and not isinstance(overrides, (str, Mapping)):
        return [str(line) for line in overrides]
    return [] if not isinstance(overrides, str) else [overrides]
