"""Count episode returns and lengths beside the training loop, so that no agent has to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.envs import BatchedEnv, StepResult

WINDOW = 100  # episodes of `rollout/ep_rew_mean`, as in Stable-Baselines3, so that curves can be compared
Numbers = NDArray[np.float64]


class MeanAccumulator:
    """A sum and a count per run, emptied by :meth:`pop`."""

    def __init__(self, num_runs: int) -> None:
        self.sums: Numbers = np.zeros(num_runs)
        self.counts: Numbers = np.zeros(num_runs)

    def pop(self) -> tuple[Tensor, Tensor]:
        """Return the mean since the last call, float64 ``(num_runs,)``, and which runs have one; others have NaN."""
        has_mean = self.counts > 0
        mean = np.full_like(self.sums, np.nan)
        np.divide(self.sums, self.counts, out=mean, where=has_mean)
        self.sums[:], self.counts[:] = 0, 0
        return torch.from_numpy(mean), torch.from_numpy(has_mean)


class EpisodeStatistics:
    """Environments as an agent sees them; every step is counted.

    ``returns`` accumulates the returns of episodes that finished and ``rewards`` the rewards, both before any
    normalisation. :meth:`columns` has the means over each run's last 100 episodes.
    """

    def __init__(self, env: BatchedEnv) -> None:
        self._env = env
        self.num_runs, self.num_envs, self.dtype = env.num_runs, env.num_envs, env.dtype
        self.observation_shape, self.observation = env.observation_shape, env.observation
        self.num_actions, self.action_shape = env.num_actions, env.action_shape
        self.action_low, self.action_high, self.is_bandit = env.action_low, env.action_high, env.is_bandit
        self.returns = MeanAccumulator(env.num_runs)
        self.rewards = MeanAccumulator(env.num_runs)
        self._since_last_row = MeanAccumulator(env.num_runs)
        self._return: Numbers = np.zeros((env.num_runs, env.num_envs))
        self._length: Numbers = np.zeros((env.num_runs, env.num_envs))
        self._num_episodes = np.zeros(env.num_runs, np.int64)
        # one row of returns and one of lengths per run; zeros, so that the sum of a whole row is right while it fills
        self._window: Numbers = np.zeros((2, env.num_runs, WINDOW))

    def step(self, action: Tensor) -> StepResult:
        """Step the environments, and count."""
        result = self._env.step(action)
        self.observation = self._env.observation
        reward = (result.reward if result.raw_reward is None else result.raw_reward).numpy()
        self._return += reward
        self._length += 1
        self.rewards.sums += reward.sum(1, dtype=np.float64)
        self.rewards.counts += self.num_envs
        done = (result.terminated | result.truncated).numpy()
        if done.any():
            self._add_finished(done)
        return result

    def _add_finished(self, done: NDArray[np.bool_]) -> None:
        run_index, env_index = done.nonzero()  # a run's environments in order, whatever its neighbours do
        returns, lengths = self._return[run_index, env_index], self._length[run_index, env_index]
        num_finished = np.bincount(run_index, minlength=self.num_runs)
        sums = np.bincount(run_index, weights=returns, minlength=self.num_runs)
        for accumulator in (self.returns, self._since_last_row):
            accumulator.sums += sums
            accumulator.counts += num_finished
        if not self.is_bandit:
            rank = np.arange(len(run_index)) - np.searchsorted(run_index, run_index)
            position = (self._num_episodes[run_index] + rank) % WINDOW
            self._window[0, run_index, position], self._window[1, run_index, position] = returns, lengths
        self._num_episodes += num_finished
        self._return[done], self._length[done] = 0, 0

    def columns(self) -> dict[str, Tensor]:
        """Return columns of the metrics, float64 ``(num_runs,)``, under the names that SB3 and CleanRL use.

        ``rollout/...`` are means over the last 100 episodes, ``charts/episodic_return`` over those that finished since
        the last call; NaN if there is none. There are no columns for a bandit, where every step is an episode.
        """
        if self.is_bandit:
            return {}
        num_filled = np.minimum(self._num_episodes, WINDOW).astype(np.float64)
        num_filled[num_filled == 0] = np.nan
        returns, lengths = torch.from_numpy(self._window.sum(2) / num_filled).unbind(0)
        return {
            "rollout/ep_rew_mean": returns,
            "rollout/ep_len_mean": lengths,
            "charts/episodic_return": self._since_last_row.pop()[0],
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all counts as tensors."""
        return {name: torch.from_numpy(array.copy()) for name, array in self._arrays().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state; load the environment's state before."""
        for name, array in self._arrays().items():
            array[:] = state[name].numpy()
        self.observation = self._env.observation

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "return": self._return,
            "length": self._length,
            "num_episodes": self._num_episodes,
            "window": self._window,
        }
        accumulators = {"returns": self.returns, "rewards": self.rewards, "since_last_row": self._since_last_row}
        for name, accumulator in accumulators.items():
            arrays[f"{name}_sums"], arrays[f"{name}_counts"] = accumulator.sums, accumulator.counts
        return arrays
