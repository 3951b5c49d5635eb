"""Step many environments of one class with NumPy, each with the episodes that Gymnasium gives to its seed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium.utils.seeding import np_random

from rasched.envs.gym.backend import Array, Backend, BackendStep
from rasched.envs.gym.env_state import restore_generator, save_generator
from rasched.envs.gym.episode_clock import EpisodeClock
from rasched.envs.gym.lookup import make_or_raise

_NUM_DRAWN_AHEAD = 32  # initial states that are drawn from a generator at a time
# NumPy 1 multiplies a float32 scalar by a Python float in float64, NumPy 2 in float32. Gymnasium steps by scalars.
SCALAR_DTYPE: Any = (np.float32(1) * 0.5).dtype


class VectorizedBackend(Backend):
    """Environments of one Gymnasium class, stepped together.

    A subclass writes the equations of motion once, for floats and for arrays `(num_envs,)`, with the operations and in
    the order of Gymnasium's class, so that the numbers agree to the last bit. Up to ``MAX_ENVS_AS_FLOATS``
    environments are stepped one after the other as floats (30 ns per operation), more of them as arrays (500 ns and
    more). Each environment draws from the generator that its seed gives to a single environment of Gymnasium.
    """

    BYTES_PER_ENV: ClassVar[int] = 3_000  # most of it is the generator
    MIN_ENVS: ClassVar[int] = 1  # from which this is faster than Gymnasium's own steps
    MAX_ENVS_AS_FLOATS: ClassVar[int] = 24
    ENTRY_POINT: ClassVar[str]  # of Gymnasium's class
    DEFAULTS: ClassVar[Mapping[str, float]] = {}  # that class's own keywords, all of them numbers
    NUM_VARIABLES: ClassVar[int]  # of a state
    INITIAL_LOW: ClassVar[tuple[float, ...]]  # bounds of the numbers from which an initial state is made
    INITIAL_HIGH: ClassVar[tuple[float, ...]]

    def __init__(self, spec: Any, num_envs: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        env = make_or_raise(spec.id, lambda: gymnasium.make(spec, disable_env_checker=True, **kwargs))
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._settings = {**self.DEFAULTS, **spec.kwargs, **kwargs}
        self._num_envs = num_envs
        self._clock = EpisodeClock(num_envs, time_limit or spec.max_episode_steps)
        self._no_truncation = np.zeros(num_envs, bool)

    @classmethod
    def supports(cls, spec: Any, num_envs: int, kwargs: Mapping[str, Any]) -> bool:
        """Return whether this backend gives the numbers of these environments, and faster."""
        settings = {**spec.kwargs, **kwargs}
        return (
            spec.entry_point == cls.ENTRY_POINT
            and num_envs >= cls.MIN_ENVS
            and not spec.additional_wrappers
            and settings.keys() <= cls.DEFAULTS.keys()
            and all(isinstance(value, (bool, int, float)) for value in settings.values())
        )

    def reset(self, seeds: list[int]) -> Array:
        """Reset every environment."""
        self._generators = [np_random(seed)[0] for seed in seeds]
        self._drawn_ahead = np.empty((self._num_envs, _NUM_DRAWN_AHEAD, len(self.INITIAL_LOW)))
        self._num_used = [_NUM_DRAWN_AHEAD] * self._num_envs
        self._state = np.empty((self.NUM_VARIABLES, self._num_envs))
        return self._begin_episodes(np.arange(self._num_envs))

    def step(self, action: Array) -> BackendStep:
        """Step every environment, and reset those whose episode ended."""
        truncated = self._clock.tick()
        if truncated is None:
            truncated = self._no_truncation
        self._state, reward, terminated = self._advance_all(self._state, self._controls(action))
        final = observation = self._observe(self._state)
        has_ended = terminated if truncated is self._no_truncation else terminated | truncated
        ended = has_ended.nonzero()[0]
        if len(ended):
            observation = final.copy()
            observation[ended] = self._begin_episodes(ended)
        return BackendStep(observation, reward, terminated, truncated, final)

    def _advance_all(self, state: Array, controls: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        """Return the next states `(NUM_VARIABLES, num_envs)`, the rewards, and which states are terminal."""
        columns: Any
        if self._num_envs <= self.MAX_ENVS_AS_FLOATS:
            floats = [*state.tolist(), *(column.tolist() for column in controls)]
            columns = tuple(zip(*map(self._advance, *floats), strict=True))
        else:
            columns = self._advance(*state, *controls)
        *variables, reward, terminated = columns
        return np.array(variables), self._as_array(reward), self._as_array(terminated)

    def _as_array(self, values: Any) -> Array:
        """Return a result of the equations, which may be the same for all environments, as an array `(num_envs,)`."""
        if isinstance(values, np.ndarray):
            return values
        return np.array(values) if isinstance(values, tuple) else np.full(self._num_envs, values)

    def _begin_episodes(self, env_indices: Array) -> Array:
        """Set the next initial states of these environments, and return their first observations."""
        state = self._initial_state(self._draw(env_indices))
        self._state[:, env_indices] = state
        self._clock.begin(env_indices)
        return self._observe(state)

    def _draw(self, env_indices: Array) -> Array:
        """Return the numbers for the next initial states of these environments, `(num_numbers, len(env_indices))`."""
        drawn = []
        for env_index in env_indices.tolist():
            if self._num_used[env_index] == _NUM_DRAWN_AHEAD:
                generator, shape = self._generators[env_index], self._drawn_ahead.shape[1:]
                self._drawn_ahead[env_index] = generator.uniform(self.INITIAL_LOW, self.INITIAL_HIGH, shape)
                self._num_used[env_index] = 0
            drawn.append(self._drawn_ahead[env_index, self._num_used[env_index]])
            self._num_used[env_index] += 1
        return np.array(drawn).T

    def _initial_state(self, drawn: Array) -> Array:
        """Return the states `(NUM_VARIABLES, num_envs)` in which episodes begin."""
        return drawn

    def _controls(self, action: Array) -> tuple[Array, ...]:
        """Return what the equations take from the actions, each `(num_envs,)`."""
        return (action,)

    @abstractmethod
    def _advance(self, *state_and_controls: Any, **unused: Any) -> tuple[Any, ...]:
        """Return the variables of the next state, the reward, and whether the state is terminal."""

    def _observe(self, state: Array) -> Array:
        """Return what is observed of states, float32 `(num_envs, *shape)`."""
        observation: Array = state.T.astype(np.float32)
        return observation

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every environment, and its generator with the numbers drawn ahead."""
        return {
            "generators": [save_generator(generator) for generator in self._generators],
            "drawn_ahead": torch.from_numpy(self._drawn_ahead.copy()),
            "num_used": list(self._num_used),
            "state": torch.from_numpy(self._state.copy()),
            "clock": self._clock.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from a saved state."""
        self._generators = [restore_generator(saved) for saved in state["generators"]]
        self._drawn_ahead, self._num_used = state["drawn_ahead"].numpy().copy(), list(state["num_used"])
        self._state = state["state"].numpy().copy()
        self._clock.load_state_dict(state["clock"])


def cos(x: Any) -> Any:
    """Return NumPy's cosine, of a float as a float. On some processors `math.cos` differs in the last bit."""
    return float(np.cos(x)) if type(x) is float else np.cos(x)


def sin(x: Any) -> Any:
    """Return NumPy's sine, of a float as a float."""
    return float(np.sin(x)) if type(x) is float else np.sin(x)


def power(x: Any, exponent: float) -> Any:
    """Return the C library's power, which differs from `x * x` in the last bit for one number in a thousand."""
    return x**exponent if type(x) is float else np.float_power(x, exponent)


def clip(x: Any, low: float, high: float) -> Any:
    """Return a float or an array, limited to [low, high]."""
    return np.minimum(np.maximum(x, low), high) if isinstance(x, np.ndarray) else min(max(x, low), high)


def where(condition: Any, value: Any, other: Any) -> Any:
    """Return ``value`` if the condition holds, else ``other``, element by element for arrays."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, value, other)
    return value if condition else other


def is_any(condition: Any) -> bool:
    """Return whether a condition holds, for arrays in any element."""
    return bool(condition.any()) if isinstance(condition, np.ndarray) else condition
