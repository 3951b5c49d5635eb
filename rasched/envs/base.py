"""What every environment is: settings that make a batch of it, one run a row, and what a step of the batch brings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from rasched.registry import Registry


@dataclass(slots=True)
class Outcome:
    """What one step brought; ``reward``, ``terminated`` and ``truncated`` have shape ``(runs, copies)``.

    ``metrics`` holds one number a run, shape ``(runs,)``, under the name of its column in the records.
    """

    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    metrics: dict[str, Tensor]


class BatchedEnv(ABC):
    """The environments of many runs, stepped together; each run has ``copies`` of its own side by side.

    A run's numbers follow from its seed alone: neither its neighbours nor their number change them.
    """

    runs: int
    copies: int
    dtype: torch.dtype
    observation_shape: tuple[int, ...]
    num_actions: int | None  # None: actions are continuous, of `action_shape`
    action_shape: tuple[int, ...]
    observation: Tensor  # (runs, copies, *observation_shape), what the next action may be chosen by

    @abstractmethod
    def step(self, action: Tensor) -> Outcome:
        """Take one action a copy, shape ``(runs, copies, *action_shape)``, int64 where actions are discrete."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what moves, as plain values and tensors; settings and seeds are not in it."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of an environment with the same settings and seeds."""


@dataclass(frozen=True, kw_only=True)
class EnvSettings(ABC):
    """The settings of an environment; subclass it and register it in :data:`ENVS` to add your own."""

    name: ClassVar[str] = "env"

    @abstractmethod
    def make(self, seeds: Sequence[int]) -> BatchedEnv:
        """Return the environments of ``len(seeds)`` runs, one seed a run."""


ENVS: Registry[EnvSettings] = Registry("env", "rasched.envs")
