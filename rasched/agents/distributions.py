"""From a network's outputs to actions, and how likely they were: what the policy-gradient agents share.

Noise is drawn for a whole rollout ahead. Shapes: outputs ``(runs, rows, outputs)``, an action ``(runs, rows)`` where
actions are discrete and ``(runs, rows, dimensions)`` where they are continuous.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log, pi, prod

import torch
from torch import Tensor
from torch.nn import functional

from rasched.agents.base import VectorEnv
from rasched.rng import RandomStreams


class Distribution(ABC):
    """A family of distributions over actions; ``parameters`` are those that no observation moves."""

    outputs: int
    parameters: list[Tensor]
    action_shape: tuple[int, ...]
    action_dtype: torch.dtype

    @abstractmethod
    def noise(self, streams: RandomStreams, steps: int, num_envs: int) -> tuple[Tensor, ...]:
        """Return what :meth:`sample` needs, one tensor a step."""

    @abstractmethod
    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return an action a row."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """Return the likeliest action of each row."""

    @abstractmethod
    def to_env_action(self, action: Tensor) -> Tensor:
        """Return the action as the environment takes it, ``(runs, num_envs, *action_shape)``."""

    @abstractmethod
    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:
        """Return the log probability (or density) of each row's action, ``(runs, rows)``."""

    @abstractmethod
    def entropy(self, outputs: Tensor) -> Tensor:
        """Return the entropy of each row, ``(runs, rows)``, in nats."""


class Categorical(Distribution):
    """Discrete actions; outputs are logits."""

    # Actions go before rows into a softmax: along the last axis torch takes row by row, and for the few actions of a
    # row three to five times as long.
    action_shape = ()
    action_dtype = torch.int64

    def __init__(self, num_actions: int, dtype: torch.dtype) -> None:
        self.outputs, self.parameters, self._dtype = num_actions, [], dtype

    def noise(self, streams: RandomStreams, steps: int, num_envs: int) -> tuple[Tensor, ...]:
        """Return Gumbel noise: the largest of logits plus it is a draw from their softmax (Gumbel, 1954)."""
        u = streams.uniform(steps, num_envs, self.outputs)
        return (-(-u.log()).log()).to(self._dtype).movedim(1, 0).contiguous().unbind(0)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        return (outputs + noise).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:  # noqa: D102
        return outputs.argmax(-1)

    def to_env_action(self, action: Tensor) -> Tensor:  # noqa: D102
        return action

    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:  # noqa: D102
        return -functional.cross_entropy(outputs.transpose(1, 2), action, reduction="none")

    def entropy(self, outputs: Tensor) -> Tensor:  # noqa: D102
        log_probability = outputs.transpose(1, 2).log_softmax(1)
        return -(log_probability.exp() * log_probability).sum(1)


class DiagonalGaussian(Distribution):
    """Continuous actions; outputs are means, and a log standard deviation a dimension is learnt beside them.

    The environment gets the action clipped to its bounds; its density is that of the action as drawn.
    """

    action_dtype: torch.dtype

    def __init__(self, world: VectorEnv, log_std: float) -> None:
        self._world_shape = world.action_shape
        self._low, self._high = world.action_low, world.action_high
        self.outputs, self.action_dtype = prod(world.action_shape), world.dtype
        self.action_shape = (self.outputs,)
        self.log_std = torch.full((world.num_runs, self.outputs), log_std, dtype=world.dtype, requires_grad=True)
        self.parameters = [self.log_std]

    def noise(self, streams: RandomStreams, steps: int, num_envs: int) -> tuple[Tensor, ...]:
        """Return standard normal numbers."""
        noise = streams.normal(steps, num_envs, self.outputs)
        return noise.to(self.action_dtype).movedim(1, 0).contiguous().unbind(0)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        return outputs + noise * self.log_std.detach().exp().unsqueeze(1)

    def mode(self, outputs: Tensor) -> Tensor:  # noqa: D102
        return outputs

    def to_env_action(self, action: Tensor) -> Tensor:  # noqa: D102
        shaped = action.view(*action.shape[:2], *self._world_shape)
        return shaped if self._low is None else torch.clamp(shaped, self._low, self._high)

    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:  # noqa: D102
        log_std = self.log_std.unsqueeze(1)
        distance = (action - outputs) * (-log_std).exp()
        return _over_dimensions(-0.5 * distance * distance - log_std - 0.5 * log(2 * pi))

    def entropy(self, outputs: Tensor) -> Tensor:  # noqa: D102
        entropy = _over_dimensions((self.log_std + 0.5 + 0.5 * log(2 * pi)).unsqueeze(1))
        return entropy.expand(outputs.shape[:2])


def distribution(world: VectorEnv, log_std: float) -> Distribution:
    """Return the family for the world's actions."""
    if world.num_actions is not None:
        return Categorical(world.num_actions, world.dtype)
    return DiagonalGaussian(world, log_std)


def _over_dimensions(values: Tensor) -> Tensor:
    return values.squeeze(-1) if values.shape[-1] == 1 else values.sum(-1)
