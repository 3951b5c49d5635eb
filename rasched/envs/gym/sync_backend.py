"""Step environments made by ``gymnasium.make`` one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from rasched.envs.gym.backend import Array, Backend, BackendStep
from rasched.envs.gym.env_state import restore_env, save_env
from rasched.envs.gym.lookup import make_or_raise


class SyncBackend(Backend):
    """Steps any environment, one after the other.

    Worker processes were slower: small steps cost less than sending a message to another process.
    """

    def __init__(self, spec: Any, num_envs: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        def make() -> Any:
            return gymnasium.make(spec, max_episode_steps=time_limit, disable_env_checker=True, **kwargs)

        self._envs = [make_or_raise(spec.id, make) for _ in range(num_envs)]
        self._step_functions = [env.step for env in self._envs]
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._has_discrete_actions = isinstance(self.action_space, gymnasium.spaces.Discrete)
        self._dtype = np.int64 if isinstance(self.observation_space, gymnasium.spaces.Discrete) else np.float32
        self._shape = (num_envs, *(self.observation_space.shape or ()))

    def reset(self, seeds: list[int]) -> Array:
        """Reset every environment. From here on each draws from its own generator, also at later resets."""
        observation = np.empty(self._shape, self._dtype)
        for i, (env, seed) in enumerate(zip(self._envs, seeds, strict=True)):
            observation[i] = env.reset(seed=seed)[0]
        return observation

    def step(self, action: Array) -> BackendStep:
        """Step every environment, and reset those whose episode ended."""
        observation = np.empty(self._shape, self._dtype)
        num_envs = len(self._envs)
        rewards, terminated, truncated = [0.0] * num_envs, [False] * num_envs, [False] * num_envs
        actions = action.tolist() if self._has_discrete_actions else action
        for i, step in enumerate(self._step_functions):
            observation[i], rewards[i], terminated[i], truncated[i], _ = step(actions[i])
        final = observation
        ended = [i for i in range(num_envs) if terminated[i] or truncated[i]]
        if ended:
            observation = final.copy()
            for i in ended:
                observation[i] = self._reset_env(i)
        reward = np.array(rewards, np.float32)
        return BackendStep(observation, reward, np.array(terminated, bool), np.array(truncated, bool), final)

    def _reset_env(self, env_index: int) -> Any:
        """Begin the next episode of one environment, and return its first observation."""
        return self._envs[env_index].reset()[0]

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes of every environment; ValueError if they are not all plain values."""
        return {"envs": [save_env(env) for env in self._envs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write the attributes of every environment."""
        for env, saved in zip(self._envs, state["envs"], strict=True):
            restore_env(env, saved)
