"""Which runs may train as one batch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from rasched.rules.batch import VECTOR_WIDTH, stack_key
from rasched.train.learner import BATCHABLE_OPTIMIZERS
from rasched.train.settings import RunSettings

TILE = 1000  # runs a batch at the most: beyond, their tensors outgrow the cache


def unbatchable_reason(run: RunSettings) -> str | None:
    """Return why a run cannot share a batch, or None where it can."""
    if run.scheduler.adapt_momentum:
        return "scheduler.adapt_momentum gives each run a momentum of its own, which torch's optimizers take for all"
    if run.optimizer.name.lower() not in BATCHABLE_OPTIMIZERS:
        return f"optimizer {run.optimizer.name} is not linear in the learning rate, element by element"
    return None


def batches(runs: Sequence[RunSettings], tile: int = TILE) -> list[list[int]]:
    """Return the places of the runs in batches of at most ``tile`` that may train together, in the order given.

    Rule, its settings, base rate, bounds and seed differ freely; environment, agent, optimizer and its options, steps,
    and whatever changes the shape of a signal are shared.
    """
    together: dict[Any, list[int]] = {}
    for place, run in enumerate(runs):
        key = place if unbatchable_reason(run) else _key(run)
        together.setdefault(key, []).append(place)
    return [places[i : i + tile] for places in together.values() for i in range(0, len(places), tile)]


def slots(runs: Sequence[RunSettings]) -> list[int]:
    """Return which run lies in each slot of a batch: kinds of rules together, and all filled up to whole vectors.

    The ragged end of an array goes through another implementation of ``tanh`` or ``exp`` than its vectors, which rounds
    differently. Without an end, a run's numbers do not depend on its neighbours; the fillers repeat the last run.
    """
    kinds: dict[Hashable, list[int]] = {}
    for place, run in enumerate(runs):
        kinds.setdefault(stack_key(run.rule), []).append(place)
    laid = [place for own in kinds.values() for place in own]
    return laid + laid[-1:] * (-len(laid) % VECTOR_WIDTH)


def _key(run: RunSettings) -> Any:
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
