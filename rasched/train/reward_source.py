"""Select the reward that the rule observes, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rasched.agents import GradientStep
from rasched.train.episode_statistics import EpisodeStatistics
from rasched.train.settings import SignalSettings


class RewardSource:
    """The reward named by ``signal.source``, after each gradient step or once per update."""

    def __init__(self, settings: SignalSettings, num_runs: int) -> None:
        self.every_step = settings.every == "step"
        self._source = settings.source
        self._no_runs = torch.zeros(num_runs, dtype=torch.bool)
        self._no_reward = torch.full((num_runs,), torch.nan, dtype=torch.float64)
        self._latest: Tensor | None = None  # a rollout's mean reward, or evaluation returns not yet observed

    def add_evaluation(self, returns: Tensor) -> None:
        """Take the returns of a new evaluation, shape ``(num_runs,)``."""
        if self._source == "eval_return":
            self._latest = returns

    def rewards_for(self, step: GradientStep, episodes: EpisodeStatistics | None) -> tuple[Tensor, Tensor | None]:
        """Return the rewards to observe now, ``(num_runs,)``, and which runs have one (None means all).

        A run that does not take this gradient step has none, and neither has a run whose source has nothing new.
        """
        if self._source == "reward" or episodes is None:
            reward, has_reward = step.reward, step.has_reward
        elif self._source == "episode_return":
            reward, has_reward = episodes.returns.pop()
        elif self._source == "rollout_reward":
            new_reward, is_new = episodes.rewards.pop()  # runs step together: all have new rewards, or none has
            if self._latest is None or is_new.any():
                self._latest = new_reward
            reward, has_reward = self._latest, None
        else:
            reward, has_reward = (self._no_reward, self._no_runs) if self._latest is None else (self._latest, None)
            self._latest = None
        if self.every_step and step.active is not None:
            has_reward = step.active if has_reward is None else has_reward & step.active
        return reward, has_reward

    def state_dict(self) -> dict[str, Any]:
        """Return the reward that is not yet observed."""
        return {"latest": self._latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self._latest = state["latest"]
