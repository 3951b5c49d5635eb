"""Copies made by ``gymnasium.make`` and stepped one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from rasched.envs.gym import env_state as memory
from rasched.envs.gym.backend import Array, Backend, BackendStep
from rasched.envs.gym.lookup import made


class SyncBackend(Backend):
    """Any environment at all. Worker processes were slower: small steps cost less than telling another process."""

    def __init__(self, spec: Any, count: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        def make() -> Any:
            return gymnasium.make(spec, max_episode_steps=time_limit, disable_env_checker=True, **kwargs)

        self._envs = [made(spec.id, make) for _ in range(count)]
        self._steps = [env.step for env in self._envs]
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._counts = isinstance(self.action_space, gymnasium.spaces.Discrete)
        self._dtype = np.int64 if isinstance(self.observation_space, gymnasium.spaces.Discrete) else np.float32
        self._shape = (count, *(self.observation_space.shape or ()))

    def reset(self, seeds: list[int]) -> Array:
        """Reset every copy; from here on each draws from its own generator, also when it resets itself."""
        observation = np.empty(self._shape, self._dtype)
        for i, (env, seed) in enumerate(zip(self._envs, seeds, strict=True)):
            observation[i] = env.reset(seed=seed)[0]
        return observation

    def step(self, action: Array) -> BackendStep:
        """Step every copy, and reset those whose episode is over."""
        observation = np.empty(self._shape, self._dtype)
        count = len(self._steps)
        rewards, terminated, truncated = [0.0] * count, [False] * count, [False] * count
        each = action.tolist() if self._counts else action
        for i, step in enumerate(self._steps):
            observation[i], rewards[i], terminated[i], truncated[i], _ = step(each[i])
        over = [i for i in range(count) if terminated[i] or truncated[i]]
        final = observation
        if over:
            observation = final.copy()
            for i in over:
                observation[i] = self._again(i)
        reward = np.array(rewards, np.float32)
        return BackendStep(observation, reward, np.array(terminated, bool), np.array(truncated, bool), final)

    def _again(self, copy: int) -> Any:
        """Begin a copy's next episode, and return its first observation."""
        return self._envs[copy].reset()[0]

    def state_dict(self) -> dict[str, Any]:
        """Return every copy's attributes; ValueError where they hold more than numbers."""
        return {"envs": [memory.read(env) for env in self._envs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write every copy's attributes."""
        for env, saved in zip(self._envs, state["envs"], strict=True):
            memory.write(env, saved)
