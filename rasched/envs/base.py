"""What every environment is: settings that make a batch of it, one run a row, and what a step of the batch brings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.registry import Registry


@dataclass(slots=True)
class StepResult:
    """What one step brought; ``reward``, ``terminated`` and ``truncated`` have shape ``(runs, num_envs)``.

    ``metrics`` holds one number a run, shape ``(runs,)``, under the name of its column in the records.
    ``final_observation`` is what the step led to before a finished copy started anew, by which a truncated episode is
    bootstrapped; None where nothing is worth seeing after a step, as with bandits. ``raw_reward`` is the reward before
    normalisation, where there is one.
    """

    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    metrics: dict[str, Tensor]
    final_observation: Tensor | None = None  # (runs, num_envs, *observation_shape)
    raw_reward: Tensor | None = None  # (runs, num_envs)


class BatchedEnv(ABC):
    """The environments of many runs, stepped together; each run has ``num_envs`` of its own side by side.

    A run's numbers follow from its seed alone: neither its neighbours nor their number change them. A copy whose
    episode is over starts the next one within the step: ``observation`` is then already the new episode's first.
    ``failures`` says, by place in the batch, which runs' environments broke, and how; their numbers mean nothing.
    """

    num_runs: int
    num_envs: int
    dtype: torch.dtype
    observation_shape: tuple[int, ...]
    num_actions: int | None  # None: actions are continuous, of `action_shape`
    action_shape: tuple[int, ...]
    action_low: Tensor | None = None  # of continuous actions, shape `action_shape`; those beyond are clipped
    action_high: Tensor | None = None
    observation: Tensor  # (runs, num_envs, *observation_shape), what the next action may be chosen by
    is_bandit: bool = False  # every step is an episode, as a bandit's pull: there are no returns to keep
    failures: Mapping[int, str] = MappingProxyType({})
    frames_per_second: float = 30.0  # at which what `rendered` returns looks as fast as life

    @abstractmethod
    def step(self, action: Tensor) -> StepResult:
        """Take one action a copy, shape ``(runs, num_envs, *action_shape)``, int64 where actions are discrete."""

    def make_eval_env(self, num_envs: int) -> BatchedEnv:
        """Return environments for evaluation: the same runs with streams of their own, and the rewards as they come.

        What this environment has learnt of its observations' scale is used there and not changed. Raises ValueError
        where an evaluation would mean nothing.
        """
        raise ValueError("eval.every must be 0 here: this environment has no twin to evaluate a policy in")

    def reset_for_evaluation(self, evaluation: int) -> None:
        """Begin all episodes of a twin anew, by random numbers that belong to the run and this evaluation's number."""
        raise NotImplementedError("only what `twin` returns is ever restarted")

    def make_render_env(self, run: int) -> BatchedEnv:
        """Return one copy of a run's environment that can be drawn: a twin with a random stream of its own.

        ``run`` is its place in the batch. Raises ValueError where nothing can be drawn.
        """
        raise ValueError(
            "logger.video must be false here: this environment draws no pictures,"
            " as Gymnasium's do (env=gym env.id=CartPole-v1)"
        )

    def render(self) -> NDArray[np.uint8]:
        """Return what the last step led to, RGB ``(height, width, 3)``: an episode's end, not the next one's start."""
        raise NotImplementedError("only what `rendered` returns is ever drawn")

    def close(self) -> None:
        """Give back what drawing took."""
        raise NotImplementedError("only what `rendered` returns is ever closed")

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
