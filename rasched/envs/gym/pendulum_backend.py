"""Pendulum, vectorized."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from rasched.envs.gym.backend import Array
from rasched.envs.gym.vectorized_backend import SCALAR_DTYPE, VectorizedBackend, clip, power, sin

_DT = 0.05  # s
_MAX_SPEED, _MAX_TORQUE = 8.0, 2.0  # rad/s, N m


class PendulumBackend(VectorizedBackend):
    """A pendulum of mass 1 and length 1 that a torque swings up. An episode never terminates.

    The reward may differ from Gymnasium's by 1e-10: there the square of the torque is a float32 power.
    """

    ENTRY_POINT = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    DEFAULTS = {"g": 10.0}
    NUM_VARIABLES = 2
    INITIAL_LOW, INITIAL_HIGH = (-pi, -1.0), (pi, 1.0)

    def _controls(self, action: Array) -> tuple[Array, ...]:
        torque = np.clip(action[:, 0], -_MAX_TORQUE, _MAX_TORQUE).astype(SCALAR_DTYPE)
        return 3.0 * torque, 0.001 * (torque * torque)

    def _advance(self, theta: Any, theta_dot: Any, push: Any, torque_cost: Any) -> tuple[Any, ...]:
        angle = ((theta + pi) % (2 * pi)) - pi
        cost = power(angle, 2) + 0.1 * power(theta_dot, 2) + torque_cost
        theta_dot = theta_dot + (3 * self._settings["g"] / 2.0 * sin(theta) + push) * _DT
        theta_dot = clip(theta_dot, -_MAX_SPEED, _MAX_SPEED)
        return theta + theta_dot * _DT, theta_dot, -cost, False

    def _observe(self, state: Array) -> Array:
        theta, theta_dot = state
        return np.array((np.cos(theta), np.sin(theta), theta_dot), np.float32).T
