"""Gymnasium's NumPy-vectorized CartPole, with resets that depend on the seed of each environment only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.utils.seeding import np_random

from rasched.envs.gym.backend import Array, Backend, BackendStep
from rasched.envs.gym.env_state import restore_generator, save_generator
from rasched.envs.gym.lookup import make_or_raise

_ENTRY_POINT = "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv"
_NUM_DRAWN_AHEAD = 32  # initial states that are drawn from a generator at a time
_MIN_ENVS = 8  # from which one vectorized step is cheaper than single ones


class CartPoleBackend(Backend):
    """Plays the episodes of single environments with the same seeds, 30 times as fast for 400 environments.

    Gymnasium's vector draws all initial states from one stream, in the order in which poles fall. There an
    environment's episodes depend on its neighbours. Here each environment has the generator that its seed gives a
    single one, and its initial state is written into the vector within the step that ends an episode, so that the
    vector never resets anything itself.
    """

    def __init__(self, spec: Any, num_envs: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        limit = time_limit or spec.max_episode_steps
        self._env: Any = make_or_raise(
            spec.id,
            lambda: gymnasium.make_vec(
                spec, num_envs, vectorization_mode="vector_entry_point", **{**kwargs, "max_episode_steps": limit}
            ),
        )
        self.observation_space = self._env.single_observation_space
        self.action_space = self._env.single_action_space

    @staticmethod
    def supports(spec: Any, num_envs: int) -> bool:
        """Return whether this backend steps so many environments faster than single ones are stepped."""
        return spec.vector_entry_point == _ENTRY_POINT and not spec.additional_wrappers and num_envs >= _MIN_ENVS

    def reset(self, seeds: list[int]) -> Array:
        """Reset every environment."""
        self._env.reset(seed=0)  # allocates, and sets the bounds of initial states
        self._generators = [np_random(seed)[0] for seed in seeds]
        self._drawn_ahead = np.empty((len(seeds), _NUM_DRAWN_AHEAD, 4))
        self._num_used = np.full(len(seeds), _NUM_DRAWN_AHEAD)
        self._begin_episodes(np.arange(len(seeds)))
        return self._observe()

    def step(self, action: Array) -> BackendStep:
        """Step all environments at once, and reset those whose episode ended."""
        final, reward, terminated, truncated, _ = self._env.step(action)
        observation = final
        ended = (terminated | truncated).nonzero()[0]
        if len(ended):
            self._begin_episodes(ended)
            observation = self._observe()
        return BackendStep(observation, reward, terminated, truncated, final)

    def _begin_episodes(self, env_indices: Array) -> None:
        """Write the next initial state of each of these environments into the vector."""
        for env_index in env_indices[self._num_used[env_indices] == _NUM_DRAWN_AHEAD]:
            self._generators[env_index].random(out=self._drawn_ahead[env_index])
            self._num_used[env_index] = 0
        low, high = self._env.low, self._env.high
        drawn = self._drawn_ahead[env_indices, self._num_used[env_indices]]
        self._env.state[:, env_indices] = (low + (high - low) * drawn).T
        self._num_used[env_indices] += 1
        self._env.steps[env_indices] = 0
        self._env.prev_done[env_indices] = False

    def _observe(self) -> Array:
        observation: Array = self._env.state.T.astype(np.float32)
        return observation

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every environment, and its generator with the numbers drawn ahead."""
        return {
            "generators": [save_generator(generator) for generator in self._generators],
            **{name: torch.from_numpy(np.array(array)) for name, array in self._arrays().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from a saved state."""
        self._generators = [restore_generator(saved) for saved in state["generators"]]
        for name, array in self._arrays().items():
            array[:] = state[name].numpy()

    def _arrays(self) -> dict[str, Array]:
        return {
            "state": self._env.state,
            "steps": self._env.steps,
            "drawn_ahead": self._drawn_ahead,
            "num_used": self._num_used,
        }
