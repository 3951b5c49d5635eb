"""Decide which runs may train in one batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from rasched.rules.batch import VECTOR_WIDTH, stack_key
from rasched.train.learner import BATCHABLE_OPTIMIZERS
from rasched.train.settings import RunSettings

MAX_RUNS_PER_BATCH = 1000  # the tensors of more runs outgrow the cache


def unbatchable_reason(run: RunSettings) -> str | None:
    """Return why a run cannot share a batch, or None if it can."""
    if run.scheduler.adapt_momentum:
        return "scheduler.adapt_momentum gives each run a momentum of its own, which torch's optimizers take for all"
    if run.optimizer.name.lower() not in BATCHABLE_OPTIMIZERS:
        return f"optimizer {run.optimizer.name} is not linear in the learning rate, element by element"
    return None


def group_into_batches(runs: Sequence[RunSettings], max_runs: int = MAX_RUNS_PER_BATCH) -> list[list[int]]:
    """Return the indices of the runs in batches of at most ``max_runs`` that may train together, in the order given.

    Rule, its settings, base learning rate, bounds and seed differ freely. The runs of a batch share the environment,
    the agent, the optimizer and its options, the number of steps, and whatever changes the shape of a signal.
    """
    batches: dict[Any, list[int]] = {}
    for run_index, run in enumerate(runs):
        key = run_index if unbatchable_reason(run) else _batch_key(run)
        batches.setdefault(key, []).append(run_index)
    return [indices[i : i + max_runs] for indices in batches.values() for i in range(0, len(indices), max_runs)]


def pad_to_vector_width(runs: Sequence[RunSettings]) -> list[int]:
    """Return the index of the run in each slot of a batch: rules of a kind side by side, filled up to whole vectors.

    The ragged end of an array goes through another implementation of ``tanh`` or ``exp`` than its vectors, which rounds
    differently. Without an end, a run's numbers do not depend on its neighbours. The last slots repeat the last run.
    """
    runs_of_kind: dict[Hashable, list[int]] = {}
    for run_index, run in enumerate(runs):
        runs_of_kind.setdefault(stack_key(run.rule), []).append(run_index)
    slots = [run_index for indices in runs_of_kind.values() for run_index in indices]
    return slots + slots[-1:] * (-len(slots) % VECTOR_WIDTH)


def _batch_key(run: RunSettings) -> Any:
    signal = run.signal
    return (
        run.env,
        run.agent,
        run.optimizer.name.lower(),
        repr(sorted(run.optimizer.options.items())),
        run.steps,
        run.eval,
        signal.source,
        signal.every,
        signal.normalize,
        signal.ema_reward_beta is None,
        signal.on_nonfinite,
    )
