"""``rasched sweep --dry-run``: the jobs, and how they batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rasched.runner.run_spec import Batch_


def print_jobs(tiles: Sequence[Batch_], processes: int, as_json: bool) -> None:
    """Print the jobs in their order, with the batch of each, and why one has none to share."""
    batch_of = {id(plan): place for place, tile in enumerate(tiles) for plan in tile.plans}
    plans = sorted((plan for tile in tiles for plan in tile.plans), key=lambda plan: plan.job.num if plan.job else 0)
    if as_json:
        from rasched.cli.output import print_json

        jobs = [
            {"overrides": plan.overrides, "folder": str(plan.folder), "batch": batch_of[id(plan)]} for plan in plans
        ]
        batches = [{"runs": len(tile.plans), "alone": tile.alone} for tile in tiles]
        print_json({"jobs": jobs, "batches": batches, "processes": processes})
        return
    for plan in plans:
        print(f"#{plan.job.num if plan.job else 0:<4} batch {batch_of[id(plan)]:<3} {' '.join(plan.overrides)}")
    runs = sum(len(tile.plans) for tile in tiles)
    largest = max(len(tile.plans) for tile in tiles)
    print(
        f"{_count(runs, 'run')} in {_count(len(tiles), 'batch')} of at most {largest}, {_count(processes, 'process')}"
    )
    for why in sorted({tile.alone for tile in tiles if tile.alone}):
        print(f"one by one: {sum(tile.alone == why for tile in tiles)} runs, since {why}")


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith(("ch", "s")) else "s")
    return f"{number:,} {noun if number == 1 else plural}"
