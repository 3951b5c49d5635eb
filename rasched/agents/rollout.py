"""Rollouts: the experience of the on-policy agents, and its advantages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.agents.actor_critic import ActorCritic
from rasched.agents.base import VectorEnv
from rasched.rng import RandomStreams

Array = NDArray[np.floating[Any]]


@dataclass(slots=True)
class Rollout:
    """``num_steps`` steps of each environment; a run's rows are in the order of steps, then environments.

    The collector reuses the tensors for its next rollout.
    """

    observation: Tensor  # (num_runs, (num_steps + 1) * num_envs, num_inputs), including those after the last step
    action: Tensor  # (num_runs, num_steps * num_envs, ...)
    reward: Array  # (num_steps, num_runs, num_envs)
    done: NDArray[np.bool_]  # (num_steps, num_runs, num_envs)
    truncations: list[tuple[int, NDArray[np.bool_], Tensor]]  # step, what was truncated, final observations
    metrics: dict[str, Tensor]

    def mean_reward(self) -> Tensor:
        """Return the mean over steps and environments, float64 ``(num_runs,)``."""
        # Along the first axis NumPy adds in order, so a run's sum does not depend on its neighbours.
        total = self.reward.sum(0, dtype=np.float64).cumsum(-1)[:, -1]
        return torch.from_numpy(total / (self.reward.shape[0] * self.reward.shape[2]))

    def advantages(self, value: Tensor, network: ActorCritic, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
        """Return advantages and returns, each ``(runs, steps * copies)``, from the values of all observations."""
        num_steps, num_runs, num_envs = self.reward.shape
        values = value.view(num_runs, num_steps + 1, num_envs).transpose(0, 1).numpy()
        reward = self.reward.copy() if self.truncations else self.reward
        for t, was_truncated, observation in self.truncations:
            reward[t] += gamma * network.value(observation).numpy() * was_truncated
        advantage = gae(reward, values, self.done, gamma, gae_lambda)
        rows = torch.from_numpy(advantage).transpose(0, 1).reshape(num_runs, -1)
        return rows, rows + value[:, : num_steps * num_envs]


class RolloutCollector:
    """Collects rollouts of a fixed length; each run has its own random stream of actions."""

    def __init__(self, network: ActorCritic, env: VectorEnv, num_steps: int, seeds: Sequence[int]) -> None:
        self._network, self._num_steps = network, num_steps
        self._streams = RandomStreams(seeds, "agent/action")
        shape, distribution = (env.num_runs, num_steps, env.num_envs), network.distribution
        width = prod(env.observation_shape)
        self._observation = torch.empty(env.num_runs, num_steps + 1, env.num_envs, width, dtype=env.dtype)
        self._action = torch.empty(*shape, *distribution.action_shape, dtype=distribution.action_dtype)
        self._reward = np.empty((num_steps, env.num_runs, env.num_envs), torch.empty(0, dtype=env.dtype).numpy().dtype)
        self._done = np.empty(self._reward.shape, np.bool_)
        self._step_views = list(zip(self._observation.unbind(1)[:-1], self._action.unbind(1), strict=True))

    def collect(self, env: VectorEnv) -> Rollout:
        """Continue every environment for ``num_steps`` steps."""
        network, distribution = self._network, self._network.distribution
        noise = distribution.noise(self._streams, self._num_steps, env.num_envs)
        truncations: list[tuple[int, NDArray[np.bool_], Tensor]] = []
        metrics: dict[str, Tensor] = {}
        for t, (observation, action) in enumerate(self._step_views):
            observation.copy_(env.observation.flatten(2))
            action.copy_(distribution.sample(network.outputs(observation), noise[t]))
            step = env.step(distribution.to_env_action(action))
            self._reward[t] = step.reward.numpy()
            truncated = step.truncated.numpy() & ~step.terminated.numpy()
            np.logical_or(step.terminated.numpy(), truncated, out=self._done[t])
            if truncated.any() and step.final_observation is not None:
                truncations.append((t, truncated, step.final_observation.flatten(2).clone()))
            metrics = step.metrics
        self._observation[:, -1] = env.observation.flatten(2)
        return Rollout(
            self._observation.flatten(1, 2), self._action.flatten(1, 2), self._reward, self._done, truncations, metrics
        )

    def state_dict(self) -> dict[str, object]:
        """Return the position of the stream of actions; between rollouts nothing else changes."""
        return self._streams.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Continue from a saved state."""
        self._streams.load_state_dict(state)


def gae(reward: Array, value: Array, done: NDArray[np.bool_], gamma: float, gae_lambda: float) -> Array:
    r"""Return generalised advantage estimates (Schulman et al., 2016), of shape ``(num_steps, ...)`` as ``reward``.

    With :math:`\delta_t = R_t + \gamma (1 - d_t) V_{t+1} - V_t`,

        A_t = \delta_t + \gamma \lambda (1 - d_t) A_{t+1}

    ``value``, ``(num_steps + 1, ...)``, ends with the value of the observation after the last step; ``done`` is true if
    an episode ended. The reward of a step that a time limit truncated must include the discounted value of the final
    observation (Pardo et al., 2018). With ``gae_lambda=1`` the result is the discounted return less the value.
    """
    # In NumPy, because a call of torch costs more than the work on a row of a few hundred numbers.
    carry = (gamma * (1 - done)).astype(reward.dtype)
    advantage = reward + carry * value[1:] - value[:-1]
    carry *= gae_lambda
    for t in range(len(reward) - 2, -1, -1):
        advantage[t] += carry[t] * advantage[t + 1]
    return advantage
