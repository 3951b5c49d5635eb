"""Step environments in C++ with EnvPool."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from rasched.envs.gym.backend import Array, Backend, BackendStep


class EnvPoolBackend(Backend):
    """Steps EnvPool's environment of the same id, whose numbers are not Gymnasium's, since it rounds differently.

    A pool takes its seeds when it is made, so a reset makes a new one. It uses one thread, unless ``env.kwargs`` sets
    ``num_threads``.
    """

    def __init__(self, spec: Any, num_envs: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        self._envpool = _import_envpool()
        self._env_id = spec.id
        if spec.id not in self._envpool.list_all_envs():
            raise ValueError(f"env.backend=envpool has no environment {spec.id}: leave out env.backend")
        limit = time_limit or spec.max_episode_steps
        self._kwargs = {"num_threads": 1, **({"max_episode_steps": limit} if limit else {}), **kwargs}
        self._num_envs = num_envs
        with _ignore_precision_warning():
            pool_spec = self._envpool.make_spec(spec.id, **self._kwargs)
            self.observation_space = pool_spec.gymnasium_observation_space
            self.action_space = pool_spec.gymnasium_action_space

    def reset(self, seeds: list[int]) -> Array:
        """Make a pool with these seeds."""
        with _ignore_precision_warning():
            self._pool = self._envpool.make(
                self._env_id, env_type="gymnasium", num_envs=self._num_envs, seed=seeds, **self._kwargs
            )
            observation: Array = self._pool.reset()[0]
        return observation

    def step(self, action: Array) -> BackendStep:
        """Step every environment, and reset those whose episode ended, which a pool would do one step later."""
        dtype = self.action_space.dtype
        final, reward, terminated, truncated, _ = self._pool.step(action.astype(dtype, copy=False))
        ended = (terminated | truncated).nonzero()[0]
        observation = final
        if len(ended):
            first, info = self._pool.reset(ended.astype(np.int32))
            observation = final.copy()
            observation[info["env_id"]] = first
        return BackendStep(observation, reward, terminated, truncated, final)

    def state_dict(self) -> dict[str, Any]:
        """Raise ValueError, since EnvPool offers no access to its state."""
        raise ValueError(
            f"EnvPool offers no access to the state of environment {self._env_id}:"
            " its runs can be repeated, but not resumed; try env.backend=gymnasium"
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError, likewise."""
        self.state_dict()


@contextmanager
def _ignore_precision_warning() -> Iterator[None]:
    """Ignore Gymnasium's warning about the float64 bounds that EnvPool gives to float32 spaces."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered by casting", category=UserWarning)
        yield


def _import_envpool() -> Any:
    try:
        import envpool
    except ImportError as error:
        raise ValueError("env.backend=envpool needs a package: pip install 'rasched[envpool]'") from error
    return envpool
