"""The interface of all environments: settings that make a batch with one row per run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from numpy.typing import NDArray
from torch import Tensor

from rasched.registry import Registry


@dataclass(slots=True)
class StepResult:
    """The result of one step of all environments.

    ``reward``, ``terminated`` and ``truncated`` have shape ``(num_runs, num_envs)``. ``metrics`` holds one number per
    run, shape ``(num_runs,)``, under the name of its column in the records. ``final_observation`` is the observation
    that the step led to, before finished episodes were replaced by new ones. A truncated episode is bootstrapped from
    it. It is None for bandits. ``raw_reward`` is the reward before normalization, or None if rewards are not
    normalized.
    """

    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    metrics: dict[str, Tensor]
    final_observation: Tensor | None = None  # (num_runs, num_envs, *observation_shape)
    raw_reward: Tensor | None = None  # (num_runs, num_envs)


class BatchedEnv(ABC):
    """The environments of many runs, stepped together, ``num_envs`` per run.

    A run's numbers depend on its seed alone, not on the other runs or their number. If an episode ends, the next one
    begins within the same step: ``observation`` is then the first of the new episode. ``failures`` maps the index of
    each run whose environment failed to the reason. The numbers of such a run mean nothing.
    """

    num_runs: int
    num_envs: int
    dtype: torch.dtype
    observation_shape: tuple[int, ...]
    num_actions: int | None  # None: actions are continuous, of `action_shape`
    action_shape: tuple[int, ...]
    action_low: Tensor | None = None  # of continuous actions, shape `action_shape`; actions are clipped to the bounds
    action_high: Tensor | None = None
    observation: Tensor  # (num_runs, num_envs, *observation_shape), from which the next action is chosen
    is_bandit: bool = False  # every step is an episode, so there are no returns to record
    failures: Mapping[int, str] = MappingProxyType({})
    frames_per_second: float = 30.0  # at which a video of `make_render_env` plays at real-time speed

    @abstractmethod
    def step(self, action: Tensor) -> StepResult:
        """Take one action per environment.

        ``action`` has shape ``(num_runs, num_envs, *action_shape)``, and is int64 if actions are discrete.
        """

    def make_eval_env(self, num_envs: int) -> BatchedEnv:
        """Return environments for evaluation, with random streams of their own and without reward normalization.

        Observations are normalized by this environment's statistics, which evaluation does not change. Raises
        ValueError if an evaluation would mean nothing.
        """
        raise ValueError("eval.every must be 0 for this environment: it offers no environment for evaluation")

    def reset_for_evaluation(self, evaluation: int) -> None:
        """Begin new episodes, seeded by the run and the number of this evaluation."""
        raise NotImplementedError("only an environment from make_eval_env can be reset for an evaluation")

    def make_render_env(self, run_index: int) -> BatchedEnv:
        """Return one environment of a run that can be rendered, with a random stream of its own.

        Raises ValueError if it cannot be rendered.
        """
        raise ValueError(
            "logger.video must be false here: this environment cannot be rendered, but those of Gymnasium can"
            " (env=gym env.id=CartPole-v1)"
        )

    def render(self) -> NDArray[np.uint8]:
        """Return an RGB image ``(height, width, 3)`` of the state that the last step led to.

        If the episode ended, the image shows its end, not the beginning of the next episode.
        """
        raise NotImplementedError("only an environment from make_render_env can be rendered")

    def close(self) -> None:
        """Release what rendering uses."""
        raise NotImplementedError("only an environment from make_render_env can be closed")

    def policy_state(self, run_index: int) -> dict[str, Any]:
        """Return what a run's policy needs to be used after training: the spaces, and the state of a test.

        Tensors and plain values only; the tensors are copies.
        """
        action = (
            {"kind": "box", "shape": list(self.action_shape), "dtype": "float32"}
            if self.num_actions is None
            else {"kind": "discrete", "n": self.num_actions, "start": 0}
        )
        return {
            "observation_space": {"kind": "box", "shape": list(self.observation_shape), "dtype": "float32"},
            "action_space": action,
        }

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return all that changes, as plain values and tensors. Settings and seeds are not included."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an environment with the same settings and seeds."""


@dataclass(frozen=True, kw_only=True)
class EnvSettings(ABC):
    """The settings of an environment. To add your own, subclass it and register it in :data:`ENVS`."""

    name: ClassVar[str] = "env"
    is_bandit: ClassVar[bool] = False
    num_envs: Annotated[int, Interval(ge=1, le=1_000_000)] = 1

    @abstractmethod
    def make(self, seeds: Sequence[int]) -> BatchedEnv:
        """Return the environments of ``len(seeds)`` runs, one seed per run."""

    def make_test_env(self, num_envs: int, seed: int, state: Mapping[str, Any]) -> BatchedEnv:
        """Return ``num_envs`` environments of one run to test a trained policy, with new random numbers.

        ``state`` is that of :meth:`BatchedEnv.policy_state`. Rewards are not normalized. Raises ValueError if a test
        would mean nothing.
        """
        raise ValueError(f"env={self.name} offers no environment to test a policy in")


ENVS: Registry[EnvSettings] = Registry("env", "rasched.envs")
