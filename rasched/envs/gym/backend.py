"""What moves many copies of a Gymnasium environment: NumPy arrays with one row a copy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(slots=True)
class BackendStep:
    """One step of all copies, a row each; a copy whose episode is over has been reset.

    ``observation`` is what comes next and ``final`` what the step led to: the same array where no episode ended.
    """

    observation: Array
    reward: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    final: Array


class Backend(ABC):
    """Steps ``count`` copies; arrays that were handed out are never written again."""

    observation_space: Any  # of one copy, as `gymnasium.spaces` has it
    action_space: Any

    @abstractmethod
    def reset(self, seeds: list[int]) -> Array:
        """Begin anew, each copy by a seed of its own, and return the first observations ``(count, *shape)``."""

    @abstractmethod
    def step(self, action: Array) -> BackendStep:
        """Take one action a copy, ``(count, *shape)``."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that moves as tensors and plain values; ValueError where that cannot be read."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly from a saved state."""
