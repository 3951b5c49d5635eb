"""Choose batches for the runs of a sweep, and the number of processes that train them.

The functions import torch inside, so that the process that composes a sweep can name them without it.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rasched.runner.run_spec import Batch, RunSpec, validate

if TYPE_CHECKING:
    from rasched.train.settings import RunSettings

MAX_NETWORKS_PER_BATCH = 128  # runs with a network each: some 300 outgrow the cache
MAX_ROW_BYTES = 256 << 20  # of rows that wait in memory for their files, in one process
_NUM_COLUMNS = 16  # of a row, all of float64; a bandit's row has 7
# Seconds: per run for its files, per step of a batch, and per step of one run in a bandit or with a network.
_RUN_SECONDS, _BATCH_STEP_SECONDS, _PULL_SECONDS, _NETWORK_STEP_SECONDS = 5e-3, 4e-4, 1e-6, 1e-5
_SECONDS_PER_WORKER = 1.5  # of work, from which one more process is worth its start


def validate_and_batch(
    specs: Sequence[RunSpec], num_workers: int | None
) -> tuple[list[tuple[list[int], str | None]], int]:
    """Validate runs and batch them, for a process that has not imported torch.

    Returns the indices of the runs of each batch, why a single run cannot be batched, and the number of workers.
    """
    validate(specs)
    batches, num_workers = make_batches(specs, num_workers)
    index_of = {id(spec.job): index for index, spec in enumerate(specs)}
    return [([index_of[id(s.job)] for s in batch.specs], batch.unbatchable_reason) for batch in batches], num_workers


def make_batches(specs: Sequence[RunSpec], num_workers: int | None, batched: bool = True) -> tuple[list[Batch], int]:
    """Return batches, the longest first, and the number of processes to train them in.

    With ``num_workers`` None, the number follows from the estimated work. A run that may be batched is marked as such,
    even if it is the only run of its batch: its numbers are then the same, bit for bit, in every sweep. The others, and
    all runs unless ``batched``, train one by one.
    """
    from rasched.train.batching import MAX_RUNS_PER_BATCH

    groups = _group_compatible(specs, batched)
    batches = [batch for group in groups for batch in _split(group, MAX_RUNS_PER_BATCH, batched)]
    if num_workers is None:
        num_workers = suggest_num_workers(batches)
    if num_workers > 1:
        batches = [batch for group in groups for batch in _split(group, _share(len(group), num_workers), batched)]
    batches.sort(key=estimate_seconds, reverse=True)
    return batches, max(1, min(num_workers, len(batches)))


def _group_compatible(specs: Sequence[RunSpec], batched: bool) -> list[list[RunSpec]]:
    """Return groups of runs that may train together: equal in what a batch shares and in their logger settings."""
    from rasched.train.batching import group_into_batches, unbatchable_reason

    groups: list[list[RunSpec]] = []
    for indices in group_into_batches([spec.settings for spec in specs], max(1, len(specs))):
        by_logger: dict[Any, list[RunSpec]] = defaultdict(list)
        for index in indices:
            may_share = batched and unbatchable_reason(specs[index].settings) is None
            by_logger[specs[index].logger if may_share else index].append(specs[index])
        groups += by_logger.values()
    return groups


def _split(group: list[RunSpec], limit: int, batched: bool) -> list[Batch]:
    from rasched.train.batching import unbatchable_reason

    if not batched:
        return [Batch((spec,)) for spec in group]
    reason = unbatchable_reason(group[0].settings)
    size = max(1, min(limit, *_limits(group[0].settings)))
    return [Batch.of(group[i : i + size], reason) for i in range(0, len(group), size)]


def _limits(run: RunSettings) -> tuple[int, int]:
    """Return the largest number of runs per batch by speed, and by the memory of their rows."""
    from rasched.train.batching import MAX_RUNS_PER_BATCH

    if run.env.is_bandit:
        by_speed, num_rows = MAX_RUNS_PER_BATCH, run.steps
    else:
        by_speed, num_rows = MAX_NETWORKS_PER_BATCH, run.steps // (run.env.num_envs * run.agent.steps_per_row) + 1
    return by_speed, MAX_ROW_BYTES // (num_rows * _NUM_COLUMNS * 8)


def _share(num_runs: int, num_workers: int) -> int:
    """Return the runs per process if all get as many, in whole vectors."""
    from rasched.rules.batch import VECTOR_WIDTH

    return -(-num_runs // num_workers // VECTOR_WIDTH) * VECTOR_WIDTH


def suggest_num_workers(batches: Sequence[Batch]) -> int:
    """Return the number of processes that the estimated work is worth."""
    seconds = sum(_divisible_seconds(batch) for batch in batches)
    return min(num_cores(), max(1, round(seconds / _SECONDS_PER_WORKER)))


def estimate_seconds(batch: Batch) -> float:
    """Return a rough estimate of the time to train a batch, in seconds."""
    return _divisible_seconds(batch) + batch.specs[0].settings.steps * _BATCH_STEP_SECONDS


def _divisible_seconds(batch: Batch) -> float:
    """Return the part of the time that each run adds, wherever it trains."""
    run = batch.specs[0].settings
    step_seconds = _PULL_SECONDS if run.env.is_bandit else _NETWORK_STEP_SECONDS
    return len(batch.specs) * (_RUN_SECONDS + run.steps * step_seconds)


def num_cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
