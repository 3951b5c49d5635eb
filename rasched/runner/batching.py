"""How the jobs of a sweep are cut into batches: who trains together, how many at a time, in how many processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rasched.rules.batch import VECTOR_WIDTH
from rasched.runner import cost
from rasched.runner.run_spec import Batch_, RunSpec, validate_run_specs
from rasched.train.batching import MAX_RUNS_PER_BATCH, group_into_batches, unbatchable_reason
from rasched.train.settings import RunSettings

NETWORKS = 128  # runs a batch where each has a network: some 300 outgrow the cache
RECORDS = 256 << 20  # bytes of rows that wait in memory for their files, in one process
_COLUMNS = 16  # of a row, all of float64; a bandit's has 7


def cut(plans: Sequence[RunSpec], processes: int | None, stacked: bool = True) -> tuple[list[Batch_], int]:
    """Return the tiles, longest first, and the number of processes to train them in; ``processes`` None: as fits.

    Each run of a tile is marked as one of a batch, also where it is the only one: its numbers are then the same, bit
    for bit, whatever the sweep around it. Those that cannot share a batch, all if not ``stacked``, go one by one.
    """
    for plan in plans:
        plan.stacked = stacked and unbatchable_reason(plan.settings) is None
    whole = [tile for group in _together(plans) for tile in _tiles(group, MAX_RUNS_PER_BATCH)]
    if processes is None:
        processes = cost.suggest_num_workers(len(plans), plans[0].config) if plans else 1
    if processes > 1:
        whole = [tile for group in _together(plans) for tile in _tiles(group, _share(len(group), processes))]
    ordered = sorted(whole, key=_seconds, reverse=True)
    return ordered, max(1, min(processes, len(ordered)))


def cut_by_place(plans: Sequence[RunSpec], processes: int) -> tuple[list[tuple[list[int], str | None, bool]], int]:
    """Check the plans and cut them, for a process that has not imported torch: tiles are places, and if stacked."""
    validate_run_specs(plans)
    tiles, processes = cut(plans, processes)
    places = {id(plan): place for place, plan in enumerate(plans)}
    return [([places[id(p)] for p in tile.plans], tile.alone, tile.plans[0].stacked) for tile in tiles], processes


def _together(plans: Sequence[RunSpec]) -> list[list[RunSpec]]:
    """Return the plans that may train together: alike in what a batch shares, and in how often they log."""
    found: list[list[RunSpec]] = []
    for places in group_into_batches([plan.settings for plan in plans], max(1, len(plans))):
        by_logging: dict[Any, list[RunSpec]] = {}
        for place in places:
            plan = plans[place]
            by_logging.setdefault(plan.logger if plan.stacked else place, []).append(plan)
        found += by_logging.values()
    return found


def _tiles(group: list[RunSpec], limit: int) -> list[Batch_]:
    first = group[0]
    size = max(1, min(limit, *_limits(first.settings)))
    why = None if first.stacked else unbatchable_reason(first.settings)
    return [Batch_(group[i : i + size], why) for i in range(0, len(group), size)]


def _limits(run: RunSettings) -> tuple[int, int]:
    """Return the largest number of runs by speed, and by memory."""
    if _is_bandit(run):
        rows = run.steps
    else:  # a row for each piece of experience: at most one a step of all copies
        rows = run.steps // (getattr(run.env, "num_envs", 1) * _steps_a_row(run)) + 1
    return MAX_RUNS_PER_BATCH if _is_bandit(run) else NETWORKS, RECORDS // (rows * _COLUMNS * 8)


def _steps_a_row(run: RunSettings) -> int:
    return int(getattr(run.agent, "n_steps", getattr(run.agent, "train_freq", 1)))


def _share(runs: int, processes: int) -> int:
    """Return the runs a process where all get as many, in whole vectors."""
    return -(-runs // processes // VECTOR_WIDTH) * VECTOR_WIDTH


def _is_bandit(run: RunSettings) -> bool:
    return hasattr(run.env, "arms")


def _seconds(tile: Batch_) -> float:
    run = tile.plans[0].settings
    return cost.seconds(len(tile.plans), run.steps, _is_bandit(run))
