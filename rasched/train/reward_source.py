"""Which reward the rule hears, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rasched.agents import GradientStep
from rasched.train.episode_statistics import EpisodeStatistics
from rasched.train.settings import SignalSettings


class RewardSource:
    """The reward of ``signal.source``, after each optimizer step or once an update."""

    def __init__(self, settings: SignalSettings, runs: int) -> None:
        self.each_step = settings.every == "step"
        self._source = settings.source
        self._nobody = torch.zeros(runs, dtype=torch.bool)
        self._nothing = torch.full((runs,), torch.nan, dtype=torch.float64)
        self._latest: Tensor | None = None  # a rollout's mean reward, or the returns of an evaluation not yet heard

    def evaluated(self, returns: Tensor) -> None:
        """Take the returns of a new evaluation, shape ``(runs,)``."""
        if self._source == "eval_return":
            self._latest = returns

    def of(self, update: GradientStep, world: EpisodeStatistics | None) -> tuple[Tensor, Tensor | None]:
        """Return the rewards to hear now, shape ``(runs,)``, and which runs hear theirs (None: all).

        A run that does not take this optimizer step hears nothing after it, nor one whose source has nothing new.
        """
        if self._source == "reward" or world is None:
            reward, has_reward = update.reward, update.has_reward
        elif self._source == "episode_return":
            reward, has_reward = world.returns.take()
        elif self._source == "rollout_reward":
            fresh, new = world.rewards.take()  # runs are stepped together: either all have new rewards, or none
            if self._latest is None or new.any():
                self._latest = fresh
            reward, has_reward = self._latest, None
        else:
            reward, has_reward = (self._nothing, self._nobody) if self._latest is None else (self._latest, None)
            self._latest = None
        if self.each_step and update.active is not None:
            has_reward = update.active if has_reward is None else has_reward & update.active
        return reward, has_reward

    def state_dict(self) -> dict[str, Any]:
        """Return what waits to be heard."""
        return {"latest": self._latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self._latest = state["latest"]
