"""Step environments made by ``gymnasium.make`` one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import gymnasium
import numpy as np

from rasched.envs.gym.backend import Array, Backend, BackendStep
from rasched.envs.gym.env_state import restore_env, save_env
from rasched.envs.gym.episode_clock import EpisodeClock
from rasched.envs.gym.lookup import first_line, make_or_raise

_NUMBERS = "fiub"  # kinds of NumPy dtypes


class SyncBackend(Backend):
    """Steps any environment, one after the other.

    Gymnasium's own ``TimeLimit`` and ``OrderEnforcing`` are left out, and time limits are counted here for all at once:
    each wrapper costs 0.2 us per step and environment. Worker processes were slower still: small steps cost less than
    sending a message to another process. An environment that raises an exception, or returns what is no observation or
    reward, is named in ``failures`` and not stepped again; the others go on.
    """

    def __init__(self, spec: Any, num_envs: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        keeps_wrappers = bool(spec.additional_wrappers)  # they may look at those below them

        def make() -> Any:
            limit = time_limit if keeps_wrappers else -1
            env = gymnasium.make(spec, max_episode_steps=limit, disable_env_checker=True, **kwargs)
            return env.env if type(env) is gymnasium.wrappers.OrderEnforcing else env

        self._envs = [make_or_raise(spec.id, make) for _ in range(num_envs)]
        self._step_functions = [env.step for env in self._envs]
        self._clock = EpisodeClock(num_envs, None if keeps_wrappers else time_limit or spec.max_episode_steps)
        self.failures: dict[int, str] = {}
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space
        self._has_discrete_actions = isinstance(self.action_space, gymnasium.spaces.Discrete)
        self._shape: tuple[int, ...] = self.observation_space.shape or ()
        self._dtype: Any = np.float32
        self._no_observation: Any = np.zeros(self._shape, np.float32)
        self._discrete_range: tuple[int, int] | None = None  # the first value, and the first beyond the last
        if isinstance(self.observation_space, gymnasium.spaces.Discrete):
            first = int(self.observation_space.start)
            self._discrete_range, self._dtype = (first, first + int(self.observation_space.n)), np.int64
            self._no_observation = first

    def reset(self, seeds: list[int]) -> Array:
        """Reset every environment. From here on each draws from its own generator, also at later resets."""
        self._clock.begin(np.arange(len(seeds)))
        observation = np.empty((len(seeds), *self._shape), self._dtype)
        for i, seed in enumerate(seeds):
            observation[i] = self._reset_env(i, seed)
        return observation

    def step(self, action: Array) -> BackendStep:
        """Step every environment, and reset those whose episode ended."""
        num_envs = len(self._envs)
        observation = np.empty((num_envs, *self._shape), self._dtype)
        is_truncated = self._clock.tick()
        truncated = [False] * num_envs if is_truncated is None else is_truncated.tolist()
        rewards, terminated = [0.0] * num_envs, [False] * num_envs
        actions = action.tolist() if self._has_discrete_actions else action
        for i, step in enumerate(self._step_functions):
            try:
                row, rewards[i], is_terminated, is_cut_off, _ = step(actions[i])
                observation[i] = row if self._is_observation(row) else self._convert(i, row)
                if is_terminated:
                    terminated[i] = True
                if is_cut_off:
                    truncated[i] = True
            except Exception as error:  # an environment may raise anything
                observation[i], rewards[i] = self._fail(i, _describe(error)), 0.0
        final = observation
        reward = self._check_rewards(rewards)
        if True in terminated or True in truncated:
            ended = [i for i in range(num_envs) if terminated[i] or truncated[i]]
            self._clock.begin(ended)
            observation = final.copy()
            for i in ended:
                observation[i] = self._reset_env(i)
        return BackendStep(observation, reward, np.array(terminated), np.array(truncated), final)

    def _reset_env(self, env_index: int, seed: int | None = None) -> Any:
        """Begin the next episode of one environment, and return its first observation."""
        if env_index in self.failures:
            return self._no_observation
        try:
            observation, _ = self._envs[env_index].reset(seed=seed)
            return observation if self._is_observation(observation) else self._convert(env_index, observation)
        except Exception as error:
            return self._fail(env_index, _describe(error))

    def _is_observation(self, value: Any) -> bool:
        if self._discrete_range is not None:
            first, end = self._discrete_range
            return isinstance(value, (int, np.integer)) and bool(first <= value < end)
        return isinstance(value, np.ndarray) and value.shape == self._shape and value.dtype.kind in _NUMBERS

    def _convert(self, env_index: int, value: Any) -> Any:
        """Return an observation in another form, such as a list, as an array; record a failure if it is none."""
        array = np.asarray(value)
        converted = array.item() if self._discrete_range is not None and array.size == 1 else array
        if self._is_observation(converted):
            return converted
        return self._fail(env_index, f"returned {_shorten(value)} instead of an observation")

    def _fail(self, env_index: int, what: str) -> Any:
        """Record why an environment failed, step it no more, and return what stands for its observation."""
        self.failures.setdefault(env_index, what)
        self._step_functions[env_index] = lambda action: (self._no_observation, 0.0, False, False, {})
        return self._no_observation

    def _check_rewards(self, rewards: list[Any]) -> Array:
        """Return rewards ``(num_envs,)``, with 0 for what is no number."""
        try:
            stacked = np.array(rewards)
        except ValueError:
            stacked = np.array(None)
        if stacked.dtype.kind not in _NUMBERS or stacked.ndim != 1:
            for env_index, reward in enumerate(rewards):
                rewards[env_index] = _as_number(reward)
                if rewards[env_index] is None:
                    rewards[env_index] = 0.0
                    self._fail(env_index, f"returned the reward {_shorten(reward)}, which is not one number,")
            stacked = np.array(rewards)
        return stacked.astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Return the attributes of every environment; ValueError if they are not all plain values."""
        return {"envs": [save_env(env) for env in self._envs], "clock": self._clock.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write the attributes of every environment."""
        self._clock.load_state_dict(state["clock"])
        for env, saved in zip(self._envs, state["envs"], strict=True):
            restore_env(env, saved)


def _describe(error: Exception) -> str:
    return f"raised {type(error).__name__} ({first_line(error)})"


def _as_number(reward: Any) -> float | None:
    """Return a reward as a float, or None if it is not one number."""
    if isinstance(reward, Real):
        try:
            return float(reward)
        except OverflowError:  # an int beyond the range of a float
            return float("inf")
    values = np.asarray(reward)
    return float(values.item()) if values.size == 1 and values.dtype.kind in _NUMBERS else None


def _shorten(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."
