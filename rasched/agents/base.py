"""The interface of agents: settings that make an agent, and the gradient steps that it yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from rasched.registry import Registry


class StepResult(Protocol):
    """The result of one environment step, as an agent reads it; tensors of shape ``(num_runs, num_envs)``."""

    @property
    def reward(self) -> Tensor: ...  # noqa: D102  (see the class)
    @property
    def terminated(self) -> Tensor: ...  # noqa: D102
    @property
    def truncated(self) -> Tensor: ...  # noqa: D102
    @property
    def metrics(self) -> dict[str, Tensor]: ...  # noqa: D102  (each of shape (num_runs,))
    @property
    def final_observation(self) -> Tensor | None: ...  # noqa: D102  (from before the reset of an environment)


class VectorEnv(Protocol):
    """The environments of many runs, as far as an agent needs to know them."""

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

    def step(self, action: Tensor) -> StepResult: ...  # noqa: D102


@dataclass(slots=True)
class GradientStep:
    """One optimizer step to take.

    Several gradient steps may use the same rollout. They have the same ``env_steps`` and ``reward``, become one row of
    the records, and only the last of them has ``is_last_of_rollout``. In a batch, an agent yields every gradient step
    even if no run is active, because whether any is active depends on the neighbours.

    Attributes:
        loss: Each run's mean loss, ``(num_runs,)``, with its graph unless there are ``gradients``.
        reward: What the rule observes after the step, ``(num_runs,)``.
        env_steps: Environment steps per run so far.
        has_reward: Which runs have a reward, ``(num_runs,)``; None: all.
        active: Which runs take the step; the others keep their parameters, bit for bit. None: all.
        max_grad_norm: The gradient of each run is clipped to this norm; None: not clipped.
        is_last_of_rollout: Whether the agent can be saved after this step.
        metrics: Further columns of the records, each ``(num_runs,)``; NaN stands for no value.
        gradients: The gradient of each parameter, if the agent computed it; None: it is that of the loss, by autograd.
        signals: Further signals for rules, each ``(num_runs,)``. They are read after the optimizer step, or not at all.

    """

    loss: Tensor
    reward: Tensor
    env_steps: int
    has_reward: Tensor | None = None
    active: Tensor | None = None
    max_grad_norm: float | None = None
    is_last_of_rollout: bool = True
    metrics: dict[str, Tensor] = field(default_factory=dict)
    gradients: Sequence[Tensor] | None = None
    signals: Mapping[str, Tensor] = field(default_factory=dict)

    def backward(self, parameters: Sequence[Tensor]) -> None:
        """Set the ``grad`` of each parameter of the agent."""
        if self.gradients is None:
            # runs share no parameters: the gradient of the sum is each run's own
            self.loss.sum().backward()  # type: ignore[no-untyped-call]  # torch's own
            return
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient


class MeasuredSignals(Mapping[str, Tensor]):
    """Signals that are measured once, when the first of them is read: they cost a pass through the policy."""

    def __init__(self, names: Sequence[str], measure: Callable[[], dict[str, Tensor]]) -> None:
        self._names, self._measure = names, measure
        self._signals: dict[str, Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        """Return one signal, ``(num_runs,)``."""
        if self._signals is None:
            self._signals = self._measure()
        return self._signals[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is such a signal, without measuring it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, without measuring the signals."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of signals."""
        return len(self._names)


class Agent(ABC):
    """One agent per run, trained as a batch; every parameter has the leading axis ``(num_runs, ...)``."""

    parameters: list[Tensor]

    @abstractmethod
    def gradient_steps(self, env: VectorEnv) -> Iterator[GradientStep]:
        """Collect experience and yield gradient steps without end; the caller steps the optimizer in between."""

    def act(self, observation: Tensor) -> Tensor:
        """Return the most likely actions ``(num_runs, num_envs, *action_shape)``, without exploration.

        Draws no random numbers and changes nothing. Raises ValueError if an agent has no such policy.
        """
        raise ValueError(
            f"eval.every must be 0, and logger.video false, with {type(self).__name__}: it has no deterministic policy"
        )

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes, parameters included, as tensors and plain values."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an agent with the same settings and seeds."""


@dataclass(frozen=True, kw_only=True)
class AgentSettings(ABC):
    """The settings of an agent; subclass it and register it in :data:`AGENTS` to add your own."""

    name: ClassVar[str] = "agent"
    signals: ClassVar[tuple[str, ...]] = ()  # the names in `GradientStep.signals`, for the rules that need them

    @property
    def steps_per_row(self) -> int:
        """Steps of each environment copy between two rows of the metrics."""
        return 1

    @abstractmethod
    def make(self, env: VectorEnv, seeds: Sequence[int]) -> Agent:
        """Return the agents of ``len(seeds)`` runs; ValueError if the agent cannot act in such an environment."""


AGENTS: Registry[AgentSettings] = Registry("agent", "rasched.agents")
