"""Both mountain cars, vectorized."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rasched.envs.gym.backend import Array
from rasched.envs.gym.vectorized_backend import SCALAR_DTYPE, VectorizedBackend, clip, where

_MIN_X, _MAX_X, _MAX_SPEED = -1.2, 0.6, 0.07
_GRAVITY = 0.0025


class MountainCarBackend(VectorizedBackend):
    """A car whose motor is too weak for the hill (Moore, 1990), with three actions."""

    ENTRY_POINT = "gymnasium.envs.classic_control.mountain_car:MountainCarEnv"
    DEFAULTS = {"goal_velocity": 0}
    NUM_VARIABLES = 2
    INITIAL_LOW, INITIAL_HIGH = (-0.6,), (-0.4,)

    def _initial_state(self, drawn: Array) -> Array:
        return np.concatenate((drawn, np.zeros_like(drawn)))

    def _advance(self, x: Any, velocity: Any, action: Any) -> tuple[Any, ...]:
        acceleration = (action - 1) * 0.001 + _cos(3 * x) * -_GRAVITY
        velocity = clip(velocity + acceleration, -_MAX_SPEED, _MAX_SPEED)
        x = clip(x + velocity, _MIN_X, _MAX_X)
        velocity = where((x == _MIN_X) & (velocity < 0), 0.0, velocity)  # the left end of the track stops the car
        return x, velocity, -1.0, (x >= 0.5) & (velocity >= self._settings["goal_velocity"])


class MountainCarContinuousBackend(VectorizedBackend):
    """The same car with a continuous force, which costs reward.

    Gymnasium rounds the state to float32 after each step, but not the initial state. So an episode's first step is
    computed in float64, the others in float32. Python's floats cannot do the latter, and Gymnasium's own step is fast
    (3 us), so that a few environments are better stepped by it.
    """

    ENTRY_POINT = "gymnasium.envs.classic_control.continuous_mountain_car:Continuous_MountainCarEnv"
    DEFAULTS = {"goal_velocity": 0}
    MIN_ENVS, MAX_ENVS_AS_FLOATS = 8, 0
    NUM_VARIABLES = 2
    INITIAL_LOW, INITIAL_HIGH = (-0.6,), (-0.4,)

    def _initial_state(self, drawn: Array) -> Array:
        return np.concatenate((drawn, np.zeros_like(drawn)))

    def _controls(self, action: Array) -> tuple[Array, ...]:
        force = action[:, 0]
        return clip(force, -1.0, 1.0).astype(SCALAR_DTYPE) * 0.0015, np.square(force.astype(np.float64)) * 0.1

    def _advance_all(self, state: Array, controls: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        next_state, reward, terminated = super()._advance_all(state.astype(SCALAR_DTYPE), controls)
        is_first_step = self._clock.is_first_step()
        if is_first_step.any():
            first = super()._advance_all(state, controls)
            next_state, reward, terminated = (
                np.where(is_first_step, a, b) for a, b in zip(first, (next_state, reward, terminated), strict=True)
            )
        return next_state.astype(np.float32).astype(np.float64), reward, terminated

    def _advance(self, x: Any, velocity: Any, push: Any, cost: Any) -> tuple[Any, ...]:
        acceleration = push - (_GRAVITY * _cos(3 * x)).astype(push.dtype)
        velocity = clip(velocity + acceleration, -_MAX_SPEED, _MAX_SPEED)
        x = clip(x + velocity, _MIN_X, _MAX_X)
        velocity = where((x == x.dtype.type(_MIN_X)) & (velocity < 0), 0.0, velocity)
        terminated = (x >= 0.45) & (velocity >= self._settings["goal_velocity"])
        return x, velocity, where(terminated, 100.0, 0.0) - cost, terminated


def _cos(x: Any) -> Any:
    """Return the C library's cosine, which Gymnasium uses here."""
    if isinstance(x, np.ndarray):
        return np.fromiter(map(math.cos, x.tolist()), np.float64, len(x))
    return math.cos(x)
