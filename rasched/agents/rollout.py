"""Steps of every copy, gathered with one policy: the experience of the agents that learn on policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasched.agents.actor_critic import ActorCritic
from rasched.agents.base import VectorEnv
from rasched.agents.gae import Array, gae
from rasched.rng import RandomStreams


@dataclass(slots=True)
class Rollout:
    """``steps`` steps of each copy; the rows of a run are step by step, copy by copy within a step.

    The tensors are the collector's own and hold until it collects again.
    """

    observation: Tensor  # (runs, (steps + 1) * copies, inputs); the last step's are what comes next
    action: Tensor  # (runs, steps * copies, ...)
    reward: Array  # (steps, runs, copies)
    done: NDArray[np.bool_]  # (steps, runs, copies)
    cut: list[tuple[int, NDArray[np.bool_], Tensor]]  # step, where a time limit struck, and the observation there
    metrics: dict[str, Tensor]

    def mean_reward(self) -> Tensor:
        """Return the mean over steps and copies, float64 ``(runs,)``."""
        # along the first axis NumPy adds in order, so a run's sum does not depend on its neighbours
        total = self.reward.sum(0, dtype=np.float64).cumsum(-1)[:, -1]
        return torch.from_numpy(total / (self.reward.shape[0] * self.reward.shape[2]))

    def advantages(self, value: Tensor, network: ActorCritic, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
        """Return advantages and returns, each ``(runs, steps * copies)``, from the values of all observations."""
        steps, runs, num_envs = self.reward.shape
        values = value.view(runs, steps + 1, num_envs).transpose(0, 1).numpy()
        reward = self.reward.copy() if self.cut else self.reward
        for t, where, observation in self.cut:
            reward[t] += gamma * network.value(observation).numpy() * where
        advantage = gae(reward, values, self.done, gamma, gae_lambda)
        rows = torch.from_numpy(advantage).transpose(0, 1).reshape(runs, -1)
        return rows, rows + value[:, : steps * num_envs]


class RolloutCollector:
    """Gathers rollouts of a fixed length; a run's actions come from its own stream."""

    def __init__(self, network: ActorCritic, world: VectorEnv, steps: int, seeds: Sequence[int]) -> None:
        self._network, self._steps = network, steps
        self._streams = RandomStreams(seeds, "agent/action")
        shape, choice = (world.num_runs, steps, world.num_envs), network.distribution
        width = prod(world.observation_shape)
        self._observation = torch.empty(world.num_runs, steps + 1, world.num_envs, width, dtype=world.dtype)
        self._action = torch.empty(*shape, *choice.action_shape, dtype=choice.action_dtype)
        self._reward = np.empty(
            (steps, world.num_runs, world.num_envs), torch.empty(0, dtype=world.dtype).numpy().dtype
        )
        self._done = np.empty(self._reward.shape, np.bool_)
        self._rows = list(zip(self._observation.unbind(1)[:-1], self._action.unbind(1), strict=True))

    def collect(self, world: VectorEnv) -> Rollout:
        """Step every copy on from where it stands."""
        network, choice = self._network, self._network.distribution
        noise = choice.noise(self._streams, self._steps, world.num_envs)
        cut: list[tuple[int, NDArray[np.bool_], Tensor]] = []
        metrics: dict[str, Tensor] = {}
        for t, (observation, action) in enumerate(self._rows):
            observation.copy_(world.observation.flatten(2))
            action.copy_(choice.sample(network.outputs(observation), noise[t]))
            step = world.step(choice.to_env_action(action))
            self._reward[t] = step.reward.numpy()
            truncated = step.truncated.numpy() & ~step.terminated.numpy()
            np.logical_or(step.terminated.numpy(), truncated, out=self._done[t])
            if truncated.any() and step.final_observation is not None:
                cut.append((t, truncated, step.final_observation.flatten(2).clone()))
            metrics = step.metrics
        self._observation[:, -1] = world.observation.flatten(2)
        return Rollout(
            self._observation.flatten(1, 2), self._action.flatten(1, 2), self._reward, self._done, cut, metrics
        )

    def state_dict(self) -> dict[str, object]:
        """Return how far the stream of actions has been drawn; between two rollouts nothing else moves."""
        return self._streams.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from there."""
        self._streams.load_state_dict(state)
