"""Rollouts: the experience of the on-policy agents, and its advantages."""

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
from rasched.agents.mlp import Array, augment
from rasched.memory import check_memory
from rasched.rng import RandomStreams


@dataclass(slots=True)
class Rollout:
    """``num_steps`` steps of each environment; a run's rows are in the order of steps, then environments.

    The collector reuses the arrays for its next rollout, except ``inputs`` and ``action``.
    """

    inputs: Array  # (num_runs, num_inputs + 1, num_rows): the observations, and a last one that is always 1
    action: Array  # (num_runs, action_width, num_rows)
    reward: Array  # (num_steps, num_runs, num_envs)
    done: NDArray[np.bool_]  # (num_steps, num_runs, num_envs)
    next_observation: Array  # (num_runs, num_envs, num_inputs), after the last step
    truncations: list[tuple[int, NDArray[np.bool_], Array]]  # step, what was truncated, final observations
    metrics: dict[str, Tensor]

    def mean_reward(self) -> Tensor:
        """Return the mean over steps and environments, float64 ``(num_runs,)``."""
        # Along the first axis NumPy adds in order, so a run's sum does not depend on its neighbours.
        total = self.reward.sum(0, dtype=np.float64).cumsum(-1)[:, -1]
        return torch.from_numpy(total / (self.reward.shape[0] * self.reward.shape[2]))


class AdvantageEstimator:
    """Estimates the advantages of a rollout from the values of its observations, for all runs or some of them."""

    def __init__(self, rollout: Rollout, network: ActorCritic, gamma: float, gae_lambda: float) -> None:
        self._done, self._gamma, self._gae_lambda = rollout.done, gamma, gae_lambda
        self._next_value = network.value(rollout.next_observation)
        self._reward = rollout.reward.copy() if rollout.truncations else rollout.reward
        for t, was_truncated, observation in rollout.truncations:
            self._reward[t] += np.where(was_truncated, gamma * network.value(observation), 0)

    def estimate(self, value: Array, runs: slice = slice(None)) -> tuple[Array, Array]:
        """Return advantages and returns, each ``(num_runs, num_rows)``, from the values of these runs, likewise."""
        reward, next_value = self._reward[:, runs], self._next_value[None, runs]
        num_steps, num_runs, num_envs = reward.shape
        values = np.concatenate([value.reshape(num_runs, num_steps, num_envs).swapaxes(0, 1), next_value])
        advantage = gae(reward, values, self._done[:, runs], self._gamma, self._gae_lambda)
        rows = advantage.swapaxes(0, 1).reshape(num_runs, -1)
        return rows, rows + value


class RolloutCollector:
    """Collects rollouts of a fixed length; each run has its own random stream of actions."""

    def __init__(self, network: ActorCritic, env: VectorEnv, num_steps: int, seeds: Sequence[int]) -> None:
        self._network, self._num_steps = network, num_steps
        self._streams = RandomStreams(seeds, "agent/action")
        dtype = network.networks.layers[0].dtype
        shape, self._action_width = (env.num_runs, num_steps, env.num_envs), network.head.action_width
        num_columns = prod(env.observation_shape) + self._action_width + 5
        num_columns *= 2  # as collected, and as learned from
        check_memory("agent.n_steps times env.num_envs", prod(shape) * num_columns * dtype.itemsize)
        self._observation = np.empty((*shape, prod(env.observation_shape)), dtype)
        self._action = np.empty((*shape, self._action_width), dtype)  # a float holds the number of an action exactly
        self._reward = np.empty((num_steps, env.num_runs, env.num_envs), dtype)
        self._done = np.empty(self._reward.shape, np.bool_)

    @np.errstate(all="ignore")  # the loss of a run whose numbers are not finite fails it
    def collect(self, env: VectorEnv) -> Rollout:
        """Continue every environment for ``num_steps`` steps."""
        network = self._network
        noise = network.head.noise(self._streams, self._num_steps, env.num_envs)
        truncations: list[tuple[int, NDArray[np.bool_], Array]] = []
        metrics: dict[str, Tensor] = {}
        observation = _flatten(env.observation)
        for t in range(self._num_steps):
            action = network.sample(observation, noise[t])
            self._observation[:, t] = observation
            self._action[:, t] = action.reshape(self._action[:, t].shape)
            step = env.step(network.head.to_env_action(action))
            self._reward[t] = step.reward.numpy()
            terminated, truncated = step.terminated.numpy(), step.truncated.numpy()
            done = np.logical_or(terminated, truncated, out=self._done[t])
            if step.final_observation is not None and done.any():
                truncated = truncated & ~terminated
                if truncated.any():
                    truncations.append((t, truncated, _flatten(step.final_observation).copy()))
            metrics = step.metrics
            observation = _flatten(env.observation)
        return Rollout(
            augment(_rows(self._observation)),
            np.ascontiguousarray(_rows(self._action).swapaxes(1, 2)),
            self._reward,
            self._done,
            observation,
            truncations,
            metrics,
        )

    def state_dict(self) -> dict[str, object]:
        """Return the position of the stream of actions; between rollouts nothing else changes."""
        return self._streams.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Continue from a saved state."""
        self._streams.load_state_dict(state)


def _flatten(observation: Tensor) -> Array:
    array: Array = observation.numpy()
    return array.reshape(*array.shape[:2], -1)


def _rows(array: Array) -> Array:
    return array.reshape(array.shape[0], -1, array.shape[-1])


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
    advantage: Array = reward + carry * value[1:] - value[:-1]
    carry *= gae_lambda
    for t in range(len(reward) - 2, -1, -1):
        advantage[t] += carry[t] * advantage[t + 1]
    return advantage
