"""CartPole, vectorized."""

from __future__ import annotations

from math import pi
from typing import Any

from rasched.envs.gym.vectorized_backend import VectorizedBackend, cos, sin, where

_GRAVITY, _FORCE, _TAU = 9.8, 10.0, 0.02  # m/s^2, N, s
_CART_MASS, _POLE_MASS, _HALF_LENGTH = 1.0, 0.1, 0.5  # kg, kg, m
_TOTAL_MASS = _POLE_MASS + _CART_MASS
_POLE_MOMENT = _POLE_MASS * _HALF_LENGTH
_MAX_X, _MAX_THETA = 2.4, 12 * 2 * pi / 360


class CartPoleBackend(VectorizedBackend):
    """A pole on a cart (Barto, Sutton & Anderson, 1983), integrated by Euler's method."""

    ENTRY_POINT = "gymnasium.envs.classic_control.cartpole:CartPoleEnv"
    DEFAULTS = {"sutton_barto_reward": False}
    NUM_VARIABLES = 4
    INITIAL_LOW, INITIAL_HIGH = (-0.05,) * 4, (0.05,) * 4

    def _advance(self, x: Any, x_dot: Any, theta: Any, theta_dot: Any, action: Any) -> tuple[Any, ...]:
        force = where(action == 1, _FORCE, -_FORCE)
        cos_theta, sin_theta = cos(theta), sin(theta)
        push = (force + _POLE_MOMENT * (theta_dot * theta_dot) * sin_theta) / _TOTAL_MASS
        theta_acc = (_GRAVITY * sin_theta - cos_theta * push) / (
            _HALF_LENGTH * (4.0 / 3.0 - _POLE_MASS * (cos_theta * cos_theta) / _TOTAL_MASS)
        )
        x_acc = push - _POLE_MOMENT * theta_acc * cos_theta / _TOTAL_MASS
        x, theta = x + _TAU * x_dot, theta + _TAU * theta_dot
        x_dot, theta_dot = x_dot + _TAU * x_acc, theta_dot + _TAU * theta_acc
        terminated = (x < -_MAX_X) | (x > _MAX_X) | (theta < -_MAX_THETA) | (theta > _MAX_THETA)
        reward = where(terminated, -1.0, 0.0) if self._settings["sutton_barto_reward"] else 1.0
        return x, x_dot, theta, theta_dot, reward, terminated
