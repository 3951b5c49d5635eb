"""The interface of what steps environments of Gymnasium: NumPy arrays with one row per environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(slots=True)
class BackendStep:
    """The result of one step of all environments, one row each. Environments whose episode ended have been reset.

    ``observation`` is the next one of each environment, ``final_observation`` the one that the step led to. If no
    episode ended, both are the same array.
    """

    observation: Array  # (num_envs, *shape)
    reward: Array  # (num_envs,), as are the next two
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    final_observation: Array


class Backend(ABC):
    """Steps ``num_envs`` environments. An array that was returned is never written again.

    ``failures`` says what an environment did, by its index, if it raised an exception or returned what it should not.
    The numbers of such an environment mean nothing.
    """

    observation_space: Any  # of one environment, from `gymnasium.spaces`
    action_space: Any
    BYTES_PER_ENV: ClassVar[int] = 10_000  # of memory, about; a physics engine takes more
    frames_per_second: float = 30.0  # at which rendered images show real-time speed
    failures: Mapping[int, str] = MappingProxyType({})

    @abstractmethod
    def __init__(self, spec: Any, num_envs: int, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        """Make the environments of a specification; ``time_limit`` replaces its own, ``kwargs`` go to each."""

    @abstractmethod
    def reset(self, seeds: list[int]) -> Array:
        """Reset every environment with its own seed, and return the first observations ``(num_envs, *shape)``."""

    @abstractmethod
    def step(self, action: Array) -> BackendStep:
        """Take one action per environment, ``(num_envs, *shape)``."""

    def render(self) -> NDArray[np.uint8]:
        """Return an RGB image ``(height, width, 3)`` of the state that the last step led to."""
        raise NotImplementedError("only a RenderBackend renders")

    def close(self) -> None:
        """Release what rendering uses."""
        raise NotImplementedError("only a RenderBackend is closed")

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that changes as tensors and plain values; ValueError if it cannot be read."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly from a saved state."""
