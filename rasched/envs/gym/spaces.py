"""Gymnasium's spaces as an agent sees them: numbers, or one of n."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.envs.gym.backend import Array


class Observations:
    """From observations as an environment gives them to float32 of ``shape``; one of n becomes a one-hot vector."""

    def __init__(self, space: Any, name: str) -> None:
        _check(space, "observes", name)
        self._discrete = isinstance(space, gymnasium.spaces.Discrete)
        self._start = int(space.start) if self._discrete else 0
        self._one_hot = np.eye(int(space.n), dtype=np.float32) if self._discrete else None
        self.shape: tuple[int, ...] = (int(space.n),) if self._discrete else tuple(space.shape)

    def encode(self, observation: Array) -> NDArray[np.float32]:
        """Return observations ``(count, *shape)``."""
        if self._one_hot is not None:
            return self._one_hot[observation.reshape(-1).astype(np.int64) - self._start]
        return np.ascontiguousarray(observation, np.float32)


class Actions:
    """From an agent's actions to an environment's: discrete ones are counted from 0, continuous ones clipped."""

    def __init__(self, space: Any, name: str) -> None:
        _check(space, "takes actions in", name)
        self.num_actions: int | None = None
        self.shape: tuple[int, ...] = ()
        self.low: Tensor | None = None
        self.high: Tensor | None = None
        if isinstance(space, gymnasium.spaces.Discrete):
            self.num_actions, self._start = int(space.n), int(space.start)
        else:
            self.shape = tuple(space.shape)
            self._low, self._high, self._dtype = space.low, space.high, space.dtype
            self.low, self.high = torch.as_tensor(space.low).float(), torch.as_tensor(space.high).float()

    def decode(self, action: Tensor) -> Array:
        """Return actions ``(count, *shape)`` for actions ``(runs, num_envs, *shape)``."""
        array: Array = action.detach().numpy()
        array = array.reshape(-1, *self.shape)
        if self.num_actions is not None:
            return array + self._start if self._start else array
        # a policy that has broken gives NaN: its loss will say so, and physics engines would not survive it
        clipped: Array = np.clip(np.nan_to_num(array), self._low, self._high).astype(self._dtype, copy=False)
        return clipped


def _check(space: Any, does: str, name: str) -> None:
    if not isinstance(space, (gymnasium.spaces.Box, gymnasium.spaces.Discrete)):
        raise ValueError(
            f"environment {name} {does} {type(space).__name__}, which no agent here can take: only Box and Discrete;"
            " register a version of it under gymnasium.wrappers.FlattenObservation or a wrapper of your own"
        )
