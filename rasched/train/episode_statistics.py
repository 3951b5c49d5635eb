"""What becomes of episodes: returns and lengths, kept beside the training loop so that no agent has to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.envs import BatchedEnv, StepResult

WINDOW = 100  # episodes of `rollout/ep_rew_mean`: Stable-Baselines3's, so that curves lie on one another
Numbers = NDArray[np.float64]


class MeanAccumulator:
    """A sum and a count a run, taken and emptied by whoever asks."""

    def __init__(self, runs: int) -> None:
        self.sums: Numbers = np.zeros(runs)
        self.counts: Numbers = np.zeros(runs)

    def take(self) -> tuple[Tensor, Tensor]:
        """Return the mean since the last call, float64 ``(runs,)``, and which runs have one; the others' is NaN."""
        has_reward = self.counts > 0
        mean = np.full_like(self.sums, np.nan)
        np.divide(self.sums, self.counts, out=mean, where=has_reward)
        self.sums[:], self.counts[:] = 0, 0
        return torch.from_numpy(mean), torch.from_numpy(has_reward)


class EpisodeStatistics:
    """The world as an agent sees it; every step that goes through is counted.

    ``returns`` and ``rewards`` tally the episodes that finished and the rewards that came, both before any
    normalisation. :meth:`columns` has the means over each run's last 100 episodes.
    """

    def __init__(self, env: BatchedEnv) -> None:
        self._env = env
        self.num_runs, self.num_envs, self.dtype = env.num_runs, env.num_envs, env.dtype
        self.observation_shape, self.observation = env.observation_shape, env.observation
        self.num_actions, self.action_shape = env.num_actions, env.action_shape
        self.action_low, self.action_high, self.is_bandit = env.action_low, env.action_high, env.is_bandit
        self.returns, self.rewards, self._charted = (
            MeanAccumulator(env.num_runs),
            MeanAccumulator(env.num_runs),
            MeanAccumulator(env.num_runs),
        )
        self._return: Numbers = np.zeros((env.num_runs, env.num_envs))
        self._length: Numbers = np.zeros((env.num_runs, env.num_envs))
        self._count = np.zeros(env.num_runs, np.int64)
        # one row of returns and one of lengths a run; zeros, so that a sum over the whole row is right while it fills
        self._window: Numbers = np.zeros((2, env.num_runs, WINDOW))

    def step(self, action: Tensor) -> StepResult:
        """Step the environments, and count."""
        outcome = self._env.step(action)
        self.observation = self._env.observation
        reward = (outcome.reward if outcome.raw_reward is None else outcome.raw_reward).numpy()
        self._return += reward
        self._length += 1
        self.rewards.sums += reward.sum(1, dtype=np.float64)
        self.rewards.counts += self.num_envs
        over = (outcome.terminated | outcome.truncated).numpy()
        if over.any():
            self._finish(over)
        return outcome

    def _finish(self, over: NDArray[np.bool_]) -> None:
        run, copy = over.nonzero()  # a run's copies in their order, whatever runs are beside it
        returns, lengths = self._return[run, copy], self._length[run, copy]
        new = np.bincount(run, minlength=self.num_runs)
        sums = np.bincount(run, weights=returns, minlength=self.num_runs)
        for tally in (self.returns, self._charted):
            tally.sums += sums
            tally.counts += new
        if not self.is_bandit:
            rank = np.arange(len(run)) - np.searchsorted(run, run)
            place = (self._count[run] + rank) % WINDOW
            self._window[0, run, place], self._window[1, run, place] = returns, lengths
        self._count += new
        self._return[over], self._length[over] = 0, 0

    def columns(self) -> dict[str, Tensor]:
        """Return the records' columns, float64 ``(runs,)``, under the names that SB3's and CleanRL's users know.

        ``rollout/...`` are means over the last 100 episodes, ``charts/episodic_return`` over those that finished since
        the last call. NaN where there is none, and no column where every step is an episode.
        """
        if self.is_bandit:
            return {}
        filled = np.minimum(self._count, WINDOW).astype(np.float64)
        filled[filled == 0] = np.nan
        returns, lengths = torch.from_numpy(self._window.sum(2) / filled).unbind(0)
        return {
            "rollout/ep_rew_mean": returns,
            "rollout/ep_len_mean": lengths,
            "charts/episodic_return": self._charted.take()[0],
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted, as tensors."""
        return {name: torch.from_numpy(array.copy()) for name, array in self._arrays().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from a saved state; the environment's own must be loaded before."""
        for name, array in self._arrays().items():
            array[:] = state[name].numpy()
        self.observation = self._env.observation

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {name[1:]: getattr(self, name) for name in ("_return", "_length", "_count")}
        arrays["window"] = self._window
        for name, tally in (("returns", self.returns), ("rewards", self.rewards), ("charted", self._charted)):
            arrays[f"{name}_sums"], arrays[f"{name}_counts"] = tally.sums, tally.counts
        return arrays
