"""Collect rewards that are computed more or less often than the optimizer steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class RewardCollector:
    """The mean of the rewards since the last optimizer step, or None if there were none.

    A reward that serves several steps counts once. Several rewards of one step count as their mean. A collector can be
    the ``reward_fn`` of :class:`~rasched.integrations.RewardObserveCallback`::

        collector = RewardCollector()
        callback = RewardObserveCallback(scheduler, collector)
        trainer = GRPOTrainer(..., reward_funcs=collector.wrap(reward), callbacks=[callback])

    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, *rewards: float | None) -> None:
        """Add rewards; None (a sample without a reward) is left out."""
        for reward in rewards:
            if reward is not None:
                self._sum += float(reward)
                self._count += 1

    def wrap(self, reward_func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function like ``reward_func`` that also adds each reward of its list here."""

        @functools.wraps(reward_func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            rewards = reward_func(*args, **kwargs)
            self.add(*rewards)
            return rewards

        return wrapped

    def reset(self) -> None:
        """Drop the collected rewards; the callback does so after an evaluation, which is no training step."""
        self._sum, self._count = 0.0, 0

    def __call__(self, step: int) -> float | None:
        """Return the mean since the last call, or None if there were no rewards; ``step`` is not used."""
        mean = self._sum / self._count if self._count else None
        self.reset()
        return mean
