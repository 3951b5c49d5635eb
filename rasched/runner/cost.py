"""What training takes, by rough figures: how many processes are worth it is known before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# Seconds: of a run for its files, of a step of a batch, and of a step of a run in a bandit and in a network.
_RUN, _BATCH_STEP, _PULL, _NETWORK_STEP = 5e-3, 4e-4, 1e-6, 1e-5
_WORTH = 1.5  # seconds of work for which one more process is worth its start


def seconds(runs: int, steps: int, bandit: bool) -> float:
    """Estimate the time of one batch."""
    return _divisible(runs, steps, bandit) + steps * _BATCH_STEP


def suggest_num_workers(runs: int, config: Mapping[str, Any]) -> int:
    """Return in how many processes to train runs of which the settings are about these."""
    return min(cores(), max(1, round(_divisible(runs, config["steps"], "arms" in config["env"]) / _WORTH)))


def _divisible(runs: int, steps: int, bandit: bool) -> float:
    """Estimate the part of the time that each run adds, wherever it trains."""
    return runs * (_RUN + steps * (_PULL if bandit else _NETWORK_STEP))


def cores() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
