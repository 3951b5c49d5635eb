"""What every agent is: settings that make one learner a run, and a stream of losses, one for each optimizer step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from rasched.registry import Registry


class Step(Protocol):
    """What one environment step brings, as an agent sees it: tensors of shape ``(runs, num_envs)``."""

    @property
    def reward(self) -> Tensor: ...  # noqa: D102  (the class says it)
    @property
    def terminated(self) -> Tensor: ...  # noqa: D102
    @property
    def truncated(self) -> Tensor: ...  # noqa: D102
    @property
    def metrics(self) -> dict[str, Tensor]: ...  # noqa: D102  (each of shape (runs,))
    @property
    def final_observation(self) -> Tensor | None: ...  # noqa: D102  (before a finished copy started anew)


class VectorEnv(Protocol):
    """The environments of many runs, as far as an agent has to know them."""

    num_runs: int
    num_envs: int
    dtype: torch.dtype
    observation_shape: tuple[int, ...]
    num_actions: int | None
    action_shape: tuple[int, ...]
    action_low: Tensor | None
    action_high: Tensor | None
    observation: Tensor
    is_bandit: bool  # every step is an episode

    def step(self, action: Tensor) -> Step: ...  # noqa: D102


@dataclass(slots=True)
class GradientStep:
    """One optimizer step to take.

    ``loss`` has shape ``(runs,)``, each run's mean loss with its graph: runs share no parameters, so one ``backward()``
    of the sum gives each its own gradient. ``reward``, shape ``(runs,)``, is what the rule hears after the step, of the
    runs for which ``heard`` is true (None: all). ``steps`` counts each run's environment steps so far. ``metrics`` are
    further columns of the records, shape ``(runs,)``; NaN is no value.

    Several updates may follow the same experience: they have the same ``steps`` and ``reward`` and become one row of
    the records, and only the last of them is ``resumable``. Runs for which ``active`` is false (None: none) do not take
    the step: they keep their parameters, bit for bit. Gradients are clipped to ``max_grad_norm``, each run's by its own
    norm. In a batch, yield every update even where no run is active: whether any is, depends on the neighbours.
    """

    loss: Tensor
    reward: Tensor
    env_steps: int
    has_reward: Tensor | None = None
    active: Tensor | None = None
    max_grad_norm: float | None = None
    is_last_of_rollout: bool = True
    metrics: dict[str, Tensor] = field(default_factory=dict)


class Agent(ABC):
    """One learner a run; every parameter has the leading axis ``(runs, ...)``."""

    parameters: list[Tensor]

    @abstractmethod
    def gradient_steps(self, world: VectorEnv) -> Iterator[GradientStep]:
        """Gather experience and yield one loss after another, for ever; the caller steps the optimizer in between."""

    def act(self, observation: Tensor) -> Tensor:
        """Return the actions that the policy holds best, ``(runs, num_envs, *action_shape)``, without exploring.

        Takes nothing from the agent's streams and changes nothing. Raises ValueError where an agent has no such policy.
        """
        raise ValueError(
            f"eval.every must be 0, and logger.video false, with {type(self).__name__}: it has no deterministic policy"
        )

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what moves, parameters included, as tensors and plain values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of an agent with the same settings and seeds."""


@dataclass(frozen=True, kw_only=True)
class AgentSettings(ABC):
    """The settings of an agent; subclass it and register it in :data:`AGENTS` to add your own."""

    name: ClassVar[str] = "agent"

    @abstractmethod
    def make(self, world: VectorEnv, seeds: Sequence[int]) -> Agent:
        """Return the learners of ``len(seeds)`` runs; ValueError where the agent cannot act in such a world."""


AGENTS: Registry[AgentSettings] = Registry("agent", "rasched.agents")
