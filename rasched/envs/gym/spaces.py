"""Convert between the spaces of Gymnasium and the tensors of an agent."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.envs.gym.backend import Array


class ObservationEncoder:
    """Converts observations to float32 of ``shape``; a discrete observation becomes a one-hot vector.

    Raises ValueError for a space other than Box and Discrete.
    """

    def __init__(self, space: Any, env_id: str) -> None:
        _check_space(space, "observation", env_id)
        self._is_discrete = isinstance(space, gymnasium.spaces.Discrete)
        self._start = int(space.start) if self._is_discrete else 0
        self._one_hot = np.eye(int(space.n), dtype=np.float32) if self._is_discrete else None
        self.shape: tuple[int, ...] = (int(space.n),) if self._is_discrete else tuple(space.shape)

    def encode(self, observation: Array) -> NDArray[np.float32]:
        """Return observations ``(num_envs, *shape)``."""
        if self._one_hot is not None:
            return self._one_hot[observation.reshape(-1).astype(np.int64) - self._start]
        return np.ascontiguousarray(observation, np.float32)


class ActionDecoder:
    """Converts an agent's actions, discrete ones counted from 0, to those of the environment.

    Raises ValueError for a space other than Box and Discrete.
    """

    def __init__(self, space: Any, env_id: str) -> None:
        _check_space(space, "action", env_id)
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
        """Return actions ``(num_runs * num_envs, *shape)``; continuous ones are clipped to the bounds of the space."""
        if self.num_actions is not None:
            indices: Array = action.numpy().reshape(-1)
            return indices + self._start if self._start else indices
        array = action.detach().numpy().reshape(-1, *self.shape)
        # A diverged policy gives NaN. Its loss reports that; a physics engine could crash on it.
        clipped: Array = np.clip(np.nan_to_num(array), self._low, self._high).astype(self._dtype, copy=False)
        return clipped


def _check_space(space: Any, kind: str, env_id: str) -> None:
    if not isinstance(space, (gymnasium.spaces.Box, gymnasium.spaces.Discrete)):
        raise ValueError(
            f"environment {env_id} has the {kind} space {type(space).__name__}, but our agents support only Box and"
            " Discrete: register a version of it with gymnasium.wrappers.FlattenObservation or a wrapper of your own"
        )


def describe_space(space: Any) -> dict[str, Any]:
    """Return a space of Box or Discrete as plain values and tensors."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
    return {
        "kind": "box",
        "shape": list(space.shape),
        "dtype": str(space.dtype),
        "low": torch.as_tensor(space.low).clone(),
        "high": torch.as_tensor(space.high).clone(),
    }
