"""Distributions over actions, with the gradient of their log probability and entropy.

They are arrays of NumPy with the rows last: a network's outputs and actions have the shape
``(num_runs, num_outputs, num_rows)``, where a discrete action has one entry, and results ``(num_runs, num_rows)``. A
softmax over a middle axis takes whole rows at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log, pi, prod

import numpy as np
import torch
from torch import Tensor

from rasched.agents.base import VectorEnv
from rasched.agents.mlp import Array
from rasched.rng import RandomStreams


class Distribution(ABC):
    """A distribution per row."""

    @abstractmethod
    def log_prob(self, action: Array) -> Array:
        """Return the log probability (or density) of each row's action."""

    @abstractmethod
    def entropy(self) -> Array:
        """Return the entropy of each row, in nats."""

    @abstractmethod
    def kl(self, new: Distribution) -> Array:
        """Return the exact KL divergence of each row from this distribution to another one of its family."""

    @abstractmethod
    def backward(self, action: Array, log_prob: Array, entropy: float) -> tuple[Array, list[Array]]:
        """Return the gradient of the outputs, and that of each parameter of the family.

        ``log_prob`` is the gradient of each row's log probability, and ``entropy`` that of every row's entropy.
        """


class Categorical(Distribution):
    """Discrete actions with probabilities in proportion to the exponential of their logits."""

    def __init__(self, logits: Array) -> None:
        shifted = logits - logits.max(1, keepdims=True)
        self.probs = np.exp(shifted)
        total = self.probs.sum(1, keepdims=True)
        self.probs /= total
        self.log_probs = shifted - np.log(total)

    def log_prob(self, action: Array) -> Array:  # noqa: D102
        log_prob: Array = np.where(self._is_chosen(action), self.log_probs, 0).sum(1)
        return log_prob

    def entropy(self) -> Array:  # noqa: D102
        entropy: Array = -(self.probs * self.log_probs).sum(1)
        return entropy

    def kl(self, new: Distribution) -> Array:  # noqa: D102
        assert isinstance(new, Categorical)
        divergence: Array = (self.probs * (self.log_probs - new.log_probs)).sum(1)
        return divergence

    def backward(self, action: Array, log_prob: Array, entropy: float) -> tuple[Array, list[Array]]:
        """Use d log p(a) / d logit_i = [i = a] - p_i, and dH / d logit_i = -p_i (log p_i + H)."""
        gradient: Array = (self._is_chosen(action) - self.probs) * log_prob[:, None]
        if entropy:
            gradient -= entropy * self.probs * (self.log_probs + self.entropy()[:, None])
        return gradient, []

    def _is_chosen(self, action: Array) -> Array:
        is_chosen: Array = action == np.arange(self.probs.shape[1], dtype=action.dtype)[:, None]
        return is_chosen


class DiagonalGaussian(Distribution):
    """Continuous actions with a mean ``(num_runs, num_outputs, num_rows)`` and a log standard deviation per output."""

    def __init__(self, mean: Array, log_std: Array) -> None:
        self.mean, self.log_std = mean, log_std[:, :, None]

    def log_prob(self, action: Array) -> Array:  # noqa: D102
        distance = self._distance(action)
        log_prob: Array = (-0.5 * distance * distance - self.log_std - 0.5 * log(2 * pi)).sum(1)
        return log_prob

    def entropy(self) -> Array:  # noqa: D102
        entropy = (self.log_std + (0.5 + 0.5 * log(2 * pi))).sum(1)
        return np.broadcast_to(entropy, (len(entropy), self.mean.shape[2]))

    def kl(self, new: Distribution) -> Array:  # noqa: D102
        assert isinstance(new, DiagonalGaussian)
        distance, log_ratio = new._distance(self.mean), self.log_std - new.log_std
        divergence: Array = (0.5 * (np.exp(2 * log_ratio) + distance * distance - 1) - log_ratio).sum(1)
        return divergence

    def backward(self, action: Array, log_prob: Array, entropy: float) -> tuple[Array, list[Array]]:
        """Use d log p(a) / d mean = distance / std, d log p(a) / d log_std = distance^2 - 1, and dH / d log_std = 1."""
        distance = self._distance(action)
        mean = log_prob[:, None] * distance * np.exp(-self.log_std)
        log_std = (log_prob[:, None] * (distance * distance - 1)).sum(2) + entropy * action.shape[2]
        return mean, [log_std]

    def _distance(self, action: Array) -> Array:
        """Return the distance from the mean, in standard deviations."""
        distance: Array = (action - self.mean) * np.exp(-self.log_std)
        return distance


class PolicyHead(ABC):
    """Turns a network's outputs into actions; ``parameters`` are those that do not depend on the observation."""

    num_outputs: int
    parameters: list[Tensor]
    action_width: int  # entries of an action

    @abstractmethod
    def distribution(self, outputs: Array, runs: slice = slice(None)) -> Distribution:
        """Return the distribution of the outputs ``(num_runs, num_outputs, num_rows)`` of these runs."""

    @abstractmethod
    def noise(self, streams: RandomStreams, num_steps: int, num_envs: int) -> Array:
        """Return the noise that :meth:`sample` needs for a rollout, the steps first."""

    @abstractmethod
    def sample(self, outputs: Array, noise: Array) -> Array:
        """Return one action per row of outputs ``(num_runs, num_rows, num_outputs)``."""

    @abstractmethod
    def mode(self, outputs: Array) -> Array:
        """Return the most likely action of each row of outputs ``(num_runs, num_rows, num_outputs)``."""

    @abstractmethod
    def to_env_action(self, action: Array) -> Tensor:
        """Return the action in the form of the environment, ``(num_runs, num_envs, *action_shape)``."""


class CategoricalHead(PolicyHead):
    """The outputs are logits; an action is int64 ``(num_runs, num_rows)``."""

    action_width = 1

    def __init__(self, num_actions: int, dtype: torch.dtype) -> None:
        self.num_outputs, self.parameters, self._dtype = num_actions, [], dtype

    def distribution(self, outputs: Array, runs: slice = slice(None)) -> Categorical:  # noqa: D102
        return Categorical(outputs)

    def noise(self, streams: RandomStreams, num_steps: int, num_envs: int) -> Array:
        """Return Gumbel noise; the argmax of logits plus this noise is a sample of their softmax (Gumbel, 1954)."""
        u = streams.uniform(num_steps, num_envs, self.num_outputs)
        return _steps_first(-(-u.log()).log(), self._dtype)

    def sample(self, outputs: Array, noise: Array) -> Array:  # noqa: D102
        action: Array = (outputs + noise).argmax(-1)
        return action

    def mode(self, outputs: Array) -> Array:  # noqa: D102
        action: Array = outputs.argmax(-1)
        return action

    def to_env_action(self, action: Array) -> Tensor:  # noqa: D102
        return torch.from_numpy(action)


class GaussianHead(PolicyHead):
    """The outputs are means, and one log standard deviation per output is learned.

    The environment gets the action clipped to its bounds; the density is that of the action before clipping.
    """

    def __init__(self, env: VectorEnv, log_std: float) -> None:
        self._env_action_shape = env.action_shape
        self._low, self._high = env.action_low, env.action_high
        self.num_outputs = self.action_width = prod(env.action_shape)
        self.log_std = torch.full((env.num_runs, self.num_outputs), log_std, dtype=env.dtype, requires_grad=True)
        self.parameters = [self.log_std]
        self._log_std: Array = self.log_std.detach().numpy()  # the same memory

    def distribution(self, outputs: Array, runs: slice = slice(None)) -> DiagonalGaussian:  # noqa: D102
        return DiagonalGaussian(outputs, self._log_std[runs].copy())

    def noise(self, streams: RandomStreams, num_steps: int, num_envs: int) -> Array:
        """Return standard normal numbers."""
        return _steps_first(streams.normal(num_steps, num_envs, self.num_outputs), self.log_std.dtype)

    def sample(self, outputs: Array, noise: Array) -> Array:  # noqa: D102
        action: Array = outputs + noise * np.exp(self._log_std)[:, None]
        return action

    def mode(self, outputs: Array) -> Array:  # noqa: D102
        return outputs

    def to_env_action(self, action: Array) -> Tensor:  # noqa: D102
        shaped = torch.from_numpy(action).view(*action.shape[:2], *self._env_action_shape)
        return shaped if self._low is None else torch.clamp(shaped, self._low, self._high)


def make_policy_head(env: VectorEnv, log_std: float) -> PolicyHead:
    """Return the policy head for the actions of an environment."""
    if env.num_actions is not None:
        return CategoricalHead(env.num_actions, env.dtype)
    return GaussianHead(env, log_std)


def _steps_first(noise: Tensor, dtype: torch.dtype) -> Array:
    array: Array = noise.to(dtype).movedim(1, 0).contiguous().numpy()
    return array
