"""Rewards on their way past: whoever computes them may do so more, or less, often than the optimizer steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class RewardCollector:
    """Collects rewards and gives the mean of those since the last optimizer step; None where there was none.

    So a reward that serves several steps counts once, and several rewards of one step count as their mean. It serves
    as ``reward_fn`` of :class:`~rasched.integrations.RewardObserveCallback`::

        collector = RewardCollector()
        callback = RewardObserveCallback(scheduler, collector)
        trainer = GRPOTrainer(..., reward_funcs=collector.watch(reward), callbacks=[callback])

    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, *rewards: float | None) -> None:
        """Take in rewards; None among them (a sample that has no reward) is left out."""
        for reward in rewards:
            if reward is not None:
                self._sum += float(reward)
                self._count += 1

    def watch(self, reward_func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the reward function, its every list of rewards also collected here."""

        @functools.wraps(reward_func)
        def watched(*args: Any, **kwargs: Any) -> Any:
            rewards = reward_func(*args, **kwargs)
            self.add(*rewards)
            return rewards

        return watched

    def forget(self) -> None:
        """Drop what was collected; the callback does so after an evaluation, which is no training step."""
        self._sum, self._count = 0.0, 0

    def __call__(self, step: int) -> float | None:
        """Return the mean since the last call, None if nothing came; ``step`` is not used."""
        mean = self._sum / self._count if self._count else None
        self.forget()
        return mean
