"""Copies stepped in C++ by EnvPool."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from rasched.envs.gym.backend import Array, Backend, BackendStep


class EnvPoolBackend(Backend):
    """EnvPool's environment of the same id: its physics rounds differently, so its numbers are not Gymnasium's.

    Seeds are fixed when a pool is made, so a reset by seed makes a new one. One thread, unless ``env.kwargs`` says
    ``num_threads``.
    """

    def __init__(self, spec: Any, count: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        self._envpool = _envpool()
        self._id = spec.id
        if spec.id not in self._envpool.list_all_envs():
            raise ValueError(f"env.backend=envpool has no environment {spec.id}: leave out env.backend")
        limit = time_limit or spec.max_episode_steps
        self._kwargs = {"num_threads": 1, **({"max_episode_steps": limit} if limit else {}), **kwargs}
        self._count = count
        with _without_warnings():
            single = self._envpool.make_spec(spec.id, **self._kwargs)
            self.observation_space = single.gymnasium_observation_space
            self.action_space = single.gymnasium_action_space

    def reset(self, seeds: list[int]) -> Array:
        """Make a pool with these seeds."""
        with _without_warnings():
            self._pool = self._envpool.make(
                self._id, env_type="gymnasium", num_envs=self._count, seed=seeds, **self._kwargs
            )
            observation: Array = self._pool.reset()[0]
        return observation

    def step(self, action: Array) -> BackendStep:
        """Step all copies, and reset those whose episode is over at once: by itself a pool would do so a step later."""
        dtype = self.action_space.dtype
        final, reward, terminated, truncated, _ = self._pool.step(action.astype(dtype, copy=False))
        over = (terminated | truncated).nonzero()[0]
        observation = final
        if len(over):
            first, info = self._pool.reset(over.astype(np.int32))
            observation = final.copy()
            observation[info["env_id"]] = first
        return BackendStep(observation, reward, terminated, truncated, final)

    def state_dict(self) -> dict[str, Any]:
        """Refuse: EnvPool keeps its state to itself."""
        raise ValueError(
            f"the state of environment {self._id} is inside EnvPool and cannot be saved:"
            " a run of it can be repeated, not resumed; env.backend=gymnasium may do"
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Refuse, likewise."""
        self.state_dict()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep back Gymnasium's word about the float64 bounds that EnvPool gives to float32 spaces."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered by casting", category=UserWarning)
        yield


def _envpool() -> Any:
    try:
        import envpool
    except ImportError as error:
        raise ValueError("env.backend=envpool needs a package: pip install 'rasched[envpool]'") from error
    return envpool
