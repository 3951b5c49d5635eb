"""The policy network and the critic that the on-policy agents train."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import torch
from torch import Tensor

from rasched.agents.base import VectorEnv
from rasched.agents.distributions import make_distribution
from rasched.agents.mlp import BatchedMLP, orthogonal_init
from rasched.rng import RandomStreams


class ActorCritic:
    """Two networks with the same hidden layers and no shared weights, as Stable-Baselines3's ``MlpPolicy`` has them.

    Initial weights are orthogonal, with gain sqrt 2 in the hidden layers, 0.01 for the policy's outputs (so that all
    actions are about as likely at the start) and 1 for the value.
    """

    def __init__(
        self, env: VectorEnv, seeds: Sequence[int], hidden: Sequence[int], activation: str, log_std: float = 0.0
    ) -> None:
        self.distribution = make_distribution(env, log_std)
        num_outputs = self.distribution.num_outputs
        sizes = [prod(env.observation_shape), *hidden, num_outputs]
        self.networks = BatchedMLP(env.num_runs, 2, sizes, activation, env.dtype)
        gains = [sqrt(2)] * len(hidden)
        streams = RandomStreams(seeds, "agent/init")
        self.networks.init_weights(0, orthogonal_init(streams, [*gains, 0.01]))
        self.networks.init_weights(1, orthogonal_init(streams, [*gains, 1.0], [*hidden, 1]))
        self.parameters = [self.networks.parameter, *self.distribution.parameters]

    def __call__(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and values for observations ``(num_runs, num_rows, num_inputs)``, with their graph.

        Their shapes are ``(num_runs, num_rows, num_outputs)`` and ``(num_runs, num_rows)``.
        """
        outputs, values = self.networks(observation).unbind(1)
        return outputs, values[..., 0]

    def outputs(self, observation: Tensor) -> Tensor:
        """Return only the policy's outputs, without a graph."""
        return self.networks.forward_no_grad(observation)

    def value(self, observation: Tensor) -> Tensor:
        """Return the values ``(num_runs, num_rows)``, without a graph."""
        return self.networks.forward_no_grad(observation, network=1)[..., 0]

    def act(self, observation: Tensor) -> Tensor:
        """Return the most likely actions ``(num_runs, num_envs, *action_shape)``."""
        distribution = self.distribution
        return distribution.to_env_action(distribution.mode(self.outputs(observation.flatten(2))))


def copy_parameters(parameters: Sequence[Tensor], saved: Sequence[Tensor]) -> None:
    """Write saved values into parameters in place, because optimizers and views refer to them."""
    with torch.no_grad():
        for parameter, values in zip(parameters, saved, strict=True):
            parameter.copy_(values)
