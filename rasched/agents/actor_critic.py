"""A policy and its critic, side by side: what reinforce, a2c and ppo train."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
from torch import Tensor

from rasched.agents.base import VectorEnv
from rasched.agents.distributions import distribution
from rasched.agents.mlp import BatchedMLP
from rasched.agents.starts import orthogonal
from rasched.rng import RandomStreams


class ActorCritic:
    """Two networks with the same hidden layers and no shared weights, as Stable-Baselines3's ``MlpPolicy`` has them.

    They start orthogonal, with gain sqrt 2 in the hidden layers, 0.01 for the policy's outputs (so that all actions are
    about as likely at first) and 1 for the value.
    """

    def __init__(
        self, world: VectorEnv, seeds: Sequence[int], hidden: Sequence[int], activation: str, log_std: float = 0.0
    ) -> None:
        self.distribution = distribution(world, log_std)
        outputs = self.distribution.outputs
        sizes = [prod(world.observation_shape), *hidden, outputs]
        self.networks = BatchedMLP(world.num_runs, 2, sizes, activation, world.dtype)
        gains = [sqrt(2)] * len(hidden)
        streams = RandomStreams(seeds, "agent/init")
        self.networks.draw(0, orthogonal(streams, [*gains, 0.01]))
        self.networks.draw(1, orthogonal(streams, [*gains, 1.0], [*hidden, 1]))
        self.parameters = [self.networks.parameter, *self.distribution.parameters]

    def __call__(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs ``(runs, rows, outputs)`` and values ``(runs, rows)`` of ``(runs, rows, inputs)``."""
        outputs, values = self.networks(observation).unbind(1)
        return outputs, values[..., 0]

    def outputs(self, observation: Tensor) -> Tensor:
        """Return the policy's outputs alone, without a graph."""
        return self.networks.infer(observation)

    def value(self, observation: Tensor) -> Tensor:
        """Return the values ``(runs, rows)``, without a graph."""
        return self.networks.infer(observation, net=1)[..., 0]

    def act(self, observation: Tensor) -> Tensor:
        """Return the likeliest actions, ``(runs, num_envs, *action_shape)``, for what the copies observe."""
        choice = self.distribution
        return choice.to_env_action(choice.mode(self.outputs(observation.flatten(2))))


def load(parameters: Sequence[Tensor], saved: Sequence[Tensor]) -> None:
    """Write saved values into parameters, in place: optimizers and views hold on to them."""
    with torch.no_grad():
        for parameter, values in zip(parameters, saved, strict=True):
            parameter.copy_(values)
