"""Deep Q-learning: action values learned from a replay buffer with a delayed target network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from rasched.agents.actor_critic import copy_parameters
from rasched.agents.base import AGENTS, Agent, AgentSettings, GradientStep, VectorEnv
from rasched.agents.mlp import Array, BatchedMLP, uniform_init
from rasched.agents.on_policy import check_hidden, mean_over_rows
from rasched.agents.replay_buffer import ReplayBuffer, Transitions
from rasched.memory import check_memory
from rasched.rng import RandomStreams
from rasched.validation import check_settings

_BATCHES_PER_PASS = 8  # minibatches whose targets are computed at once: more gain nothing, and outgrow the cache


@AGENTS.register("dqn")
@dataclass(frozen=True, kw_only=True)
class DQNSettings(AgentSettings):
    r"""The settings of deep Q-learning (Mnih et al., 2015); ``double_q`` as in van Hasselt et al. (2016).

    With the target network :math:`\bar Q`, the loss is the mean over a minibatch of the Huber loss between
    :math:`Q(s, a)` and

        R + gamma max_b Qbar(s', b)             (double_q: Qbar(s', argmax_b Q(s', b)))

    where the second term is left out if the step terminated its episode. After every ``train_freq`` steps of each
    environment there are ``gradient_steps`` gradient steps. An action is random with a probability that falls from
    ``exploration_initial_eps`` to ``exploration_final_eps`` over the first ``exploration_steps`` environment steps of a
    run; it is 1 in the first ``learning_starts``. The defaults are those of Stable-Baselines3, but for a
    shorter ``target_update_interval`` (10,000 there) and exploration (a tenth of the run there), for short runs.
    """

    batch_size: Annotated[int, Interval(ge=1)] = 32
    buffer_size: Annotated[int, Interval(ge=1)] = 100_000  # transitions per run
    learning_starts: Annotated[int, Interval(ge=0)] = 100
    train_freq: Annotated[int, Interval(ge=1)] = 4
    gradient_steps: Annotated[int, Interval(ge=1)] = 1
    target_update_interval: Annotated[int, Interval(ge=1)] = 500  # environment steps
    tau: Annotated[float, Interval(gt=0, le=1)] = 1.0  # step size of the target towards the network; 1: a copy
    gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99
    double_q: bool = False
    exploration_steps: Annotated[int, Interval(ge=0)] = 5_000
    exploration_initial_eps: Annotated[float, Interval(ge=0, le=1)] = 1.0
    exploration_final_eps: Annotated[float, Interval(ge=0, le=1)] = 0.05
    max_grad_norm: Annotated[float, Interval(gt=0)] | None = 10.0
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["relu", "tanh"] = "relu"

    @property
    def steps_per_row(self) -> int:
        """Steps of each environment copy between two rows of the metrics."""
        return self.train_freq

    def __post_init__(self) -> None:
        check_settings(self, "agent.")
        check_hidden(self)

    def make(self, env: VectorEnv, seeds: Sequence[int]) -> DQN:
        """Return the agents for an environment with discrete actions; continuous ones are a ValueError."""
        if env.num_actions is None:
            raise ValueError(
                "agent dqn chooses among actions, this environment's are continuous: take ppo, a2c or reinforce"
            )
        if not env.observation_shape:
            raise ValueError("agent dqn reads observations, and this environment shows none: take agent=reinforce")
        return DQN(self, env, env.num_actions, seeds)


class DQN(Agent):
    """Action values, the target's action values, and a replay buffer."""

    def __init__(self, settings: DQNSettings, env: VectorEnv, num_actions: int, seeds: Sequence[int]) -> None:
        self._settings, self._num_actions = settings, num_actions
        num_inputs = prod(env.observation_shape)
        sizes = [num_inputs, *settings.hidden, num_actions]
        num_sampled = env.num_runs * settings.gradient_steps * settings.batch_size
        check_memory("agent.batch_size times agent.gradient_steps", num_sampled * (4 * num_inputs + 20) * 4)
        check_memory("agent.train_freq times env.num_envs", env.num_runs * settings.train_freq * env.num_envs * 40)
        self._network = BatchedMLP(env.num_runs, 1, sizes, settings.activation, env.dtype)
        initializer = uniform_init(RandomStreams(seeds, "agent/init"), sizes)
        self._network.init_weights(0, initializer, initializer)
        self.parameters = [self._network.parameter]
        self._target = self._network.parameter.detach().clone()
        self._target_layers = self._network.views(self._target)
        self._replay_buffer = ReplayBuffer(seeds, settings.buffer_size, num_inputs, env.dtype)
        self._exploration = RandomStreams(seeds, "agent/exploration")
        self._env_steps = 0

    def act(self, observation: Tensor) -> Tensor:
        """Return the action of the highest value in each environment."""
        return torch.from_numpy(self._network.act(observation.flatten(2).numpy()).argmax(-1))

    def gradient_steps(self, env: VectorEnv) -> Iterator[GradientStep]:
        """Step ``train_freq`` times, then yield ``gradient_steps`` losses; none before ``learning_starts``."""
        settings, total, num_steps = self._settings, torch.zeros(env.num_runs, dtype=torch.float64), 0
        while True:
            collected, metrics = self._collect(env)
            total, num_steps = total + collected, num_steps + settings.train_freq
            if self._env_steps <= settings.learning_starts:
                continue
            reward = total / (num_steps * env.num_envs)
            total, num_steps = torch.zeros_like(total), 0
            batch_size = settings.batch_size
            sample = self._replay_buffer.sample(settings.gradient_steps, batch_size)
            for step_index, target in enumerate(self._targets(sample), 1):
                batch = sample.select(slice((step_index - 1) * batch_size, step_index * batch_size))
                loss, value, gradient = self._loss(batch, target)
                is_last = step_index == settings.gradient_steps
                yield GradientStep(
                    torch.from_numpy(loss),
                    reward,
                    self._env_steps,
                    max_grad_norm=settings.max_grad_norm,
                    is_last_of_rollout=is_last,
                    metrics={**metrics, "q_value": torch.from_numpy(mean_over_rows(value))} if is_last else {},
                    gradients=[gradient],
                )

    def _collect(self, env: VectorEnv) -> tuple[Tensor, dict[str, Tensor]]:
        """Step every environment ``train_freq`` times; return each run's sum of rewards."""
        total, metrics = np.zeros(env.num_runs), {}
        for all_random, is_random, random_action in self._epsilon_greedy_draws(env.num_envs):
            observation = env.observation.flatten(2).clone()
            action = random_action if all_random else torch.where(is_random, random_action, self.act(observation))
            step = env.step(action)
            next_observation = step.final_observation
            # without a final observation every step terminates its episode, and the next observation is not used
            next_observation = observation if next_observation is None else next_observation.flatten(2)
            columns = (observation, next_observation, action, step.reward, step.terminated)
            self._replay_buffer.add(*(column.numpy() for column in columns))
            total += step.reward.numpy().sum(1, dtype=np.float64)
            metrics = step.metrics
            self._count_steps(env.num_envs)
        metrics = {**metrics, "exploration_rate": torch.full((env.num_runs,), self._epsilon(self._env_steps))}
        return torch.from_numpy(total), metrics

    def _epsilon_greedy_draws(self, num_envs: int) -> list[tuple[bool, Tensor, Tensor]]:
        """Return for each of the next steps whether all act at random, which environments do, and random actions."""
        steps = range(self._env_steps, self._env_steps + self._settings.train_freq * num_envs, num_envs)
        epsilon = torch.tensor([self._epsilon(step) for step in steps], dtype=torch.float64)
        draws = self._exploration.uniform(len(steps), num_envs, 2).movedim(0, 1).contiguous()
        is_random = draws[..., 0] < epsilon.view(-1, 1, 1)
        random_action = (draws[..., 1] * self._num_actions).long()
        return list(zip(is_random.flatten(1).all(1).tolist(), is_random, random_action, strict=True))

    def _epsilon(self, env_steps: int) -> float:
        """Return the probability of a random action after this number of environment steps."""
        settings = self._settings
        if env_steps < settings.learning_starts:
            return 1.0
        first, last = settings.exploration_initial_eps, settings.exploration_final_eps
        progress = min(env_steps / settings.exploration_steps, 1.0) if settings.exploration_steps else 1.0
        return first + progress * (last - first)

    def _count_steps(self, num_envs: int) -> None:
        """Count one step of every environment, and update the target network once per interval."""
        interval = self._settings.target_update_interval
        before, self._env_steps = self._env_steps, self._env_steps + num_envs
        if self._env_steps // interval > before // interval:
            with torch.no_grad():
                if self._settings.tau == 1:
                    self._target.copy_(self.parameters[0])
                else:
                    self._target += self._settings.tau * (self.parameters[0] - self._target)

    def _targets(self, sample: Transitions) -> Iterator[Array]:
        """Yield the targets of each minibatch, ``(num_runs, num_rows)``.

        The target network does not change between the minibatches, so its values are computed for several at once. In
        double Q-learning the network that chooses the action changes with each minibatch.
        """
        batch_size = self._settings.batch_size
        rows_per_pass = batch_size * (1 if self._settings.double_q else _BATCHES_PER_PASS)
        for start in range(0, sample.reward.shape[1], rows_per_pass):
            rows = sample.select(slice(start, start + rows_per_pass))
            future = self._future_value(rows.next_inputs)
            target = rows.reward + self._settings.gamma * rows.not_terminated * future
            for first in range(0, target.shape[1], batch_size):
                yield target[:, first : first + batch_size]

    @np.errstate(all="ignore")  # the loss of a run whose numbers are not finite fails it
    def _future_value(self, next_inputs: Array) -> Array:
        """Return the target network's value of the best action, ``(num_runs, num_rows)``."""
        future = np.empty((len(next_inputs), next_inputs.shape[2]), next_inputs.dtype)
        for runs in self._network.tiles:
            values = self._network.forward(next_inputs[runs], runs, layers=self._target_layers)[:, 0]
            if self._settings.double_q:
                best = self._network.forward(next_inputs[runs], runs)[:, 0].argmax(1)
                values = np.where(_is_chosen(best, values), values, -np.inf)
            future[runs] = values.max(1)
        return future

    @np.errstate(all="ignore")
    def _loss(self, batch: Transitions, target: Array) -> tuple[Array, Array, Tensor]:
        """Return each run's Huber loss, the values of the chosen actions, and the gradient of the parameter."""
        network, (num_runs, num_rows) = self._network, target.shape
        gradient = torch.empty_like(network.parameter, requires_grad=False)
        weights = network.views(gradient)
        loss, value = np.empty(num_runs, target.dtype), np.empty_like(target)
        for runs in network.tiles:
            values = network.forward(batch.inputs[runs], runs)[:, 0]
            is_chosen = _is_chosen(batch.action[runs], values)
            value[runs] = np.where(is_chosen, values, 0).sum(1)
            error = value[runs] - target[runs]
            slope = np.clip(error, -1, 1)
            loss[runs] = mean_over_rows(slope * (error - 0.5 * slope))  # Huber: error^2 / 2, or |error| - 1/2 beyond 1
            of_values = np.where(is_chosen, slope[:, None], 0) / num_rows
            network.backward(of_values[:, None], runs, weights)
        return loss, value, gradient

    def state_dict(self) -> dict[str, Any]:
        """Return weights, target, replay buffer, and the positions of the random streams."""
        return {
            "parameters": [p.detach().clone() for p in self.parameters],
            "target": self._target.clone(),
            "replay": self._replay_buffer.state_dict(),
            "exploration": self._exploration.state_dict(),
            "steps": self._env_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an agent with the same settings and seeds."""
        copy_parameters([*self.parameters, self._target], [*state["parameters"], state["target"]])
        self._replay_buffer.load_state_dict(state["replay"])
        self._exploration.load_state_dict(state["exploration"])
        self._env_steps = state["steps"]


def _is_chosen(action: Array, values: Array) -> Array:
    """Return which of the values ``(num_runs, num_actions, num_rows)`` are those of the rows' actions."""
    is_chosen: Array = action[:, None] == np.arange(values.shape[1], dtype=action.dtype)[:, None]
    return is_chosen
