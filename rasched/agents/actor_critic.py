"""The policy network and the critic that the on-policy agents train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rasched.agents.base import VectorEnv
from rasched.agents.distributions import Distribution, make_policy_head
from rasched.agents.mlp import Array, BatchedMLP, orthogonal_init
from rasched.rng import RandomStreams

_ROWS_PER_PASS = 512  # more rows at once leave the cache
_POLICY, _CRITIC = 0, 1


class LossGradient(NamedTuple):
    """The gradient of a loss with respect to the results of policy and critic, ``(num_runs, num_rows)`` each."""

    action: Array  # (num_runs, action_width, num_rows), whose log probability is in the loss
    log_prob: Array
    entropy: float  # the same for every row
    value: Array


# Returns the gradient of the loss of some runs, from the distribution and the value (num_runs, num_rows) of each row.
Loss = Callable[[Distribution, Array, slice], LossGradient]


class ActorCritic:
    """Two networks with the same hidden layers and no shared weights, as Stable-Baselines3's ``MlpPolicy`` has them.

    Initial weights are orthogonal, with gain sqrt 2 in the hidden layers, 0.01 for the policy's outputs (so that all
    actions are about as likely at the start) and 1 for the value. Inputs come from :func:`rasched.agents.mlp.augment`.
    """

    def __init__(
        self, env: VectorEnv, seeds: Sequence[int], hidden: Sequence[int], activation: str, log_std: float = 0.0
    ) -> None:
        self.head = make_policy_head(env, log_std)
        sizes = [prod(env.observation_shape), *hidden, self.head.num_outputs]
        self.networks = BatchedMLP(env.num_runs, 2, sizes, activation, env.dtype)
        gains = [sqrt(2)] * len(hidden)
        streams = RandomStreams(seeds, "agent/init")
        self.networks.init_weights(_POLICY, orthogonal_init(streams, [*gains, 0.01]))
        self.networks.init_weights(_CRITIC, orthogonal_init(streams, [*gains, 1.0], [*hidden, 1]))
        self.parameters = [self.networks.parameter, *self.head.parameters]

    def __call__(self, inputs: Array) -> tuple[Array, Array]:
        """Return outputs ``(num_runs, num_outputs, num_rows)`` and values ``(num_runs, num_rows)``."""
        outputs = self._forward(inputs, slice(None))
        return outputs[:, _POLICY], outputs[:, _CRITIC, 0]

    def outputs(self, inputs: Array) -> Array:
        """Return only the policy's outputs, ``(num_runs, num_outputs, num_rows)``."""
        outputs: Array = self._forward(inputs, slice(_POLICY, _POLICY + 1))
        return outputs[:, 0]

    @np.errstate(all="ignore")  # the loss of a run whose numbers are not finite fails it
    def _forward(self, inputs: Array, networks: slice) -> Array:
        mlp, num_rows = self.networks, inputs.shape[2]
        num_networks = len(range(mlp.num_networks)[networks])
        outputs: Array = np.empty((mlp.num_runs, num_networks, mlp.sizes[-1], num_rows), inputs.dtype)
        for runs in mlp.tiles:
            for start in range(0, num_rows, _ROWS_PER_PASS):
                rows = slice(start, start + _ROWS_PER_PASS)
                outputs[runs, ..., rows] = mlp.forward(inputs[runs, :, rows], runs, networks)
        return outputs

    @np.errstate(all="ignore")
    def backward(self, inputs: Array, loss: Loss) -> list[Tensor]:
        """Return the gradient of each parameter.

        A few runs at a time go forward, through the loss and backward, while their activations are in the cache.
        """
        mlp = self.networks
        gradients = [torch.empty_like(parameter, requires_grad=False) for parameter in self.parameters]
        weights, head_gradients = mlp.views(gradients[0]), [gradient.numpy() for gradient in gradients[1:]]
        for runs in mlp.tiles:
            outputs = mlp.forward(inputs[runs], runs)
            distribution = self.head.distribution(outputs[:, _POLICY], runs)
            action, log_prob, entropy, value = loss(distribution, outputs[:, _CRITIC, 0], runs)
            gradient = np.zeros_like(outputs)
            gradient[:, _CRITIC, 0] = value
            gradient[:, _POLICY], of_parameters = distribution.backward(action, log_prob, entropy)
            for out, values in zip(head_gradients, of_parameters, strict=True):
                out[runs] = values
            mlp.backward(gradient, runs, weights)
        return gradients

    def sample(self, observation: Array, noise: Array) -> Array:
        """Return one action for each observation ``(num_runs, num_envs, num_inputs)``."""
        return self.head.sample(self.networks.act(observation, _POLICY), noise)

    def value(self, observation: Array) -> Array:
        """Return the value of each observation, ``(num_runs, num_envs)``."""
        return self.networks.act(observation, _CRITIC)[..., 0]

    def act(self, observation: Tensor) -> Tensor:
        """Return the most likely actions ``(num_runs, num_envs, *action_shape)``."""
        outputs = self.networks.act(observation.flatten(2).numpy(), _POLICY)
        return self.head.to_env_action(self.head.mode(outputs))


def copy_parameters(parameters: Sequence[Tensor], saved: Sequence[Tensor]) -> None:
    """Write saved values into parameters in place, because optimizers and views refer to them."""
    with torch.no_grad():
        for parameter, values in zip(parameters, saved, strict=True):
            parameter.copy_(values)
