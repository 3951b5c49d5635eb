"""Distributions over actions, as the policy-gradient agents use them.

Shapes: a network's outputs ``(num_runs, num_rows, num_outputs)``, an action ``(num_runs, num_rows)`` if actions are
discrete and ``(num_runs, num_rows, num_dimensions)`` if they are continuous.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import log, pi, prod

import torch
from torch import Tensor
from torch.nn import functional

from rasched.agents.base import VectorEnv
from rasched.rng import RandomStreams


class Distribution(ABC):
    """A family of distributions; ``parameters`` are those that do not depend on the observation."""

    num_outputs: int
    parameters: list[Tensor]
    action_shape: tuple[int, ...]
    action_dtype: torch.dtype

    @abstractmethod
    def noise(self, streams: RandomStreams, steps: int, num_envs: int) -> tuple[Tensor, ...]:
        """Return the noise that :meth:`sample` needs, one tensor per step of a rollout."""

    @abstractmethod
    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:
        """Return one action per row."""

    @abstractmethod
    def mode(self, outputs: Tensor) -> Tensor:
        """Return the most likely action of each row."""

    @abstractmethod
    def to_env_action(self, action: Tensor) -> Tensor:
        """Return the action in the form of the environment, ``(num_runs, num_envs, *action_shape)``."""

    @abstractmethod
    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:
        """Return the log probability (or density) of each row's action, ``(num_runs, num_rows)``."""

    @abstractmethod
    def entropy(self, outputs: Tensor) -> Tensor:
        """Return the entropy of each row, ``(num_runs, num_rows)``, in nats."""

    @abstractmethod
    def kl(self, old_outputs: Tensor, old_parameters: Sequence[Tensor], outputs: Tensor) -> Tensor:
        """Return the KL divergence of each row from earlier outputs and parameters, ``(num_runs, num_rows)``."""


class Categorical(Distribution):
    """Discrete actions; the outputs are logits."""

    # The softmax is over the axis before the last: along the last axis torch goes row by row, which takes three to
    # five times as long for rows of a few actions.
    action_shape = ()
    action_dtype = torch.int64

    def __init__(self, num_actions: int, dtype: torch.dtype) -> None:
        self.num_outputs, self.parameters, self._dtype = num_actions, [], dtype

    def noise(self, streams: RandomStreams, steps: int, num_envs: int) -> tuple[Tensor, ...]:
        """Return Gumbel noise; the argmax of logits plus this noise is a sample of their softmax (Gumbel, 1954)."""
        u = streams.uniform(steps, num_envs, self.num_outputs)
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

    def kl(self, old_outputs: Tensor, old_parameters: Sequence[Tensor], outputs: Tensor) -> Tensor:  # noqa: D102
        old, new = (x.transpose(1, 2).log_softmax(1) for x in (old_outputs, outputs))
        return (old.exp() * (old - new)).sum(1)


class DiagonalGaussian(Distribution):
    """Continuous actions; the outputs are means, and one log standard deviation per dimension is learned.

    The environment gets the action clipped to its bounds; the density is that of the action before clipping.
    """

    action_dtype: torch.dtype

    def __init__(self, env: VectorEnv, log_std: float) -> None:
        self._env_action_shape = env.action_shape
        self._low, self._high = env.action_low, env.action_high
        self.num_outputs, self.action_dtype = prod(env.action_shape), env.dtype
        self.action_shape = (self.num_outputs,)
        self.log_std = torch.full((env.num_runs, self.num_outputs), log_std, dtype=env.dtype, requires_grad=True)
        self.parameters = [self.log_std]

    def noise(self, streams: RandomStreams, steps: int, num_envs: int) -> tuple[Tensor, ...]:
        """Return standard normal numbers."""
        noise = streams.normal(steps, num_envs, self.num_outputs)
        return noise.to(self.action_dtype).movedim(1, 0).contiguous().unbind(0)

    def sample(self, outputs: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        return outputs + noise * self.log_std.detach().exp().unsqueeze(1)

    def mode(self, outputs: Tensor) -> Tensor:  # noqa: D102
        return outputs

    def to_env_action(self, action: Tensor) -> Tensor:  # noqa: D102
        shaped = action.view(*action.shape[:2], *self._env_action_shape)
        return shaped if self._low is None else torch.clamp(shaped, self._low, self._high)

    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:  # noqa: D102
        log_std = self.log_std.unsqueeze(1)
        distance = (action - outputs) * (-log_std).exp()
        return _sum_over_dimensions(-0.5 * distance * distance - log_std - 0.5 * log(2 * pi))

    def entropy(self, outputs: Tensor) -> Tensor:  # noqa: D102
        entropy = _sum_over_dimensions((self.log_std + 0.5 + 0.5 * log(2 * pi)).unsqueeze(1))
        return entropy.expand(outputs.shape[:2])

    def kl(self, old_outputs: Tensor, old_parameters: Sequence[Tensor], outputs: Tensor) -> Tensor:  # noqa: D102
        old_log_std, log_std = (x.detach().unsqueeze(1) for x in (*old_parameters, self.log_std))
        distance = (old_outputs - outputs) * (-log_std).exp()
        variance_ratio = (2 * (old_log_std - log_std)).exp()
        return _sum_over_dimensions(log_std - old_log_std + 0.5 * (variance_ratio + distance * distance - 1))


def make_distribution(env: VectorEnv, log_std: float) -> Distribution:
    """Return the family for the actions of an environment."""
    if env.num_actions is not None:
        return Categorical(env.num_actions, env.dtype)
    return DiagonalGaussian(env, log_std)


def _sum_over_dimensions(values: Tensor) -> Tensor:
    return values.squeeze(-1) if values.shape[-1] == 1 else values.sum(-1)
