"""Acrobot, vectorized."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from rasched.envs.gym.backend import Array
from rasched.envs.gym.vectorized_backend import VectorizedBackend, clip, cos, is_any, power, sin, where

_DT = 0.2
_GRAVITY = 9.8
_MAX_VELOCITY_1, _MAX_VELOCITY_2 = 4 * pi, 9 * pi


class AcrobotBackend(VectorizedBackend):
    """Two links, the lower one driven (Sutton & Barto's form), integrated by the Runge-Kutta method of order four.

    Both links have mass, length and moment of inertia 1; their centres of mass are half way.
    """

    ENTRY_POINT = "gymnasium.envs.classic_control.acrobot:AcrobotEnv"
    MAX_ENVS_AS_FLOATS = 12
    NUM_VARIABLES = 4
    INITIAL_LOW, INITIAL_HIGH = (-0.1,) * 4, (0.1,) * 4

    def _initial_state(self, drawn: Array) -> Array:
        return drawn.astype(np.float32)  # Gymnasium rounds what it draws, and observes it in that precision

    def _advance(self, theta1: Any, theta2: Any, velocity1: Any, velocity2: Any, action: Any) -> tuple[Any, ...]:
        state, torque = [theta1, theta2, velocity1, velocity2], action - 1.0
        k1 = _derivatives(state, torque)
        k2 = _derivatives(_moved(state, _DT / 2, k1), torque)
        k3 = _derivatives(_moved(state, _DT / 2, k2), torque)
        k4 = _derivatives(_moved(state, _DT, k3), torque)
        theta1, theta2, velocity1, velocity2 = (
            y + _DT / 6.0 * (a + 2 * b + 2 * c + d) for y, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        )
        theta1, theta2 = _wrap(theta1), _wrap(theta2)
        velocity1 = clip(velocity1, -_MAX_VELOCITY_1, _MAX_VELOCITY_1)
        velocity2 = clip(velocity2, -_MAX_VELOCITY_2, _MAX_VELOCITY_2)
        terminated = -cos(theta1) - cos(theta2 + theta1) > 1.0
        return theta1, theta2, velocity1, velocity2, where(terminated, 0.0, -1.0), terminated

    def _observe(self, state: Array) -> Array:
        theta1, theta2, velocity1, velocity2 = state
        columns = np.cos(theta1), np.sin(theta1), np.cos(theta2), np.sin(theta2), velocity1, velocity2
        return np.array(columns, np.float32).T


def _derivatives(state: list[Any], torque: Any) -> tuple[Any, ...]:
    """Return the velocities and accelerations of both angles, for links of mass, length and inertia 1."""
    theta1, theta2, velocity1, velocity2 = state
    cos2, sin2 = cos(theta2), sin(theta2)
    d1 = 0.25 + (1.0 + 0.25 + 1.0 * cos2) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cos2 + 1.0
    phi2 = 0.5 * _GRAVITY * cos(theta1 + theta2 - pi / 2.0)
    phi1 = (
        -0.5 * power(velocity2, 2) * sin2
        - 1.0 * velocity2 * velocity1 * sin2
        + (0.5 + 1.0) * _GRAVITY * cos(theta1 - pi / 2)
        + phi2
    )
    acceleration2 = (torque + d2 / d1 * phi1 - 0.5 * power(velocity1, 2) * sin2 - phi2) / (
        0.25 + 1.0 - power(d2, 2) / d1
    )
    acceleration1 = -(d2 * acceleration2 + phi1) / d1
    return velocity1, velocity2, acceleration1, acceleration2


def _moved(state: list[Any], dt: float, derivatives: tuple[Any, ...]) -> list[Any]:
    return [y + dt * k for y, k in zip(state, derivatives, strict=True)]


def _wrap(angle: Any) -> Any:
    """Return an angle within [-pi, pi]."""
    while is_any(angle > pi):
        angle = where(angle > pi, angle - 2 * pi, angle)
    while is_any(angle < -pi):
        angle = where(angle < -pi, angle + 2 * pi, angle)
    return angle
