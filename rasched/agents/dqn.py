"""Deep Q-learning: the value of each action, learnt from a replay against a network that lags behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rasched.agents.actor_critic import load
from rasched.agents.base import AGENTS, Agent, AgentSettings, GradientStep, VectorEnv
from rasched.agents.mlp import BatchedMLP
from rasched.agents.on_policy import check_network, check_norm, mean, whole
from rasched.agents.replay_buffer import ReplayBuffer, Transitions
from rasched.agents.starts import uniform
from rasched.rng import RandomStreams
from rasched.validation import check_number

_TOGETHER = 8  # minibatches whose targets are computed in one go: more gain nothing, and outgrow the cache


@AGENTS.register("dqn")
@dataclass(frozen=True, kw_only=True)
class DQNSettings(AgentSettings):
    r"""Q-learning with replay and target network (Mnih et al., 2015); ``double`` as in van Hasselt et al. (2016).

    With target network :math:`\bar Q`, the loss is the mean over a minibatch of the Huber loss between
    :math:`Q(s, a)` and

        R + gamma max_b Qbar(s', b)             (double: Qbar(s', argmax_b Q(s', b)))

    where only the end of an episode for good has no future. Every ``train_freq`` steps of each copy there are
    ``gradient_steps`` of them. Actions are random at a rate that falls from ``exploration_initial_eps`` to
    ``exploration_final_eps`` over the first ``exploration_steps`` environment steps of a run, all of them in the first
    ``learning_starts``. Defaults are those of Stable-Baselines3, where exploration falls over a tenth of the run.
    """

    batch_size: int = 32
    buffer_size: int = 100_000  # transitions a run
    learning_starts: int = 100
    train_freq: int = 4
    gradient_steps: int = 1
    target_update_interval: int = 10_000  # environment steps
    tau: float = 1.0  # how far the target moves towards the network; 1: it is copied
    gamma: float = 0.99
    double_q: bool = False
    exploration_steps: int = 10_000
    exploration_initial_eps: float = 1.0
    exploration_final_eps: float = 0.05
    max_grad_norm: float | None = 10.0
    hidden: tuple[int, ...] = (64, 64)
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))  # a list, where it came from YAML
        for name in ("batch_size", "buffer_size", "train_freq", "gradient_steps", "target_update_interval"):
            whole(name, getattr(self, name))
        whole("learning_starts", self.learning_starts, least=0)
        whole("exploration_steps", self.exploration_steps, least=0)
        for name in ("gamma", "exploration_initial_eps", "exploration_final_eps"):
            check_number(f"agent.{name}", getattr(self, name), "in [0, 1]", lambda v: 0 <= v <= 1)
        check_number("agent.tau", self.tau, "in (0, 1]", lambda v: 0 < v <= 1)
        check_network(self.hidden, self.activation)
        check_norm(self.max_grad_norm)

    def make(self, world: VectorEnv, seeds: Sequence[int]) -> DQN:
        """Return the learners of a world with discrete actions; continuous ones are a ValueError."""
        if world.num_actions is None:
            raise ValueError(
                "agent dqn chooses among actions, this environment's are continuous: take ppo, a2c or reinforce"
            )
        if not world.observation_shape:
            raise ValueError("agent dqn reads observations, and this environment shows none: take agent=reinforce")
        return DQN(self, world, world.num_actions, seeds)


class DQN(Agent):
    """Action values, those of the target, and a replay."""

    def __init__(self, settings: DQNSettings, world: VectorEnv, num_actions: int, seeds: Sequence[int]) -> None:
        self._settings, self._num_actions = settings, num_actions
        inputs = prod(world.observation_shape)
        sizes = [inputs, *settings.hidden, num_actions]
        self._network = BatchedMLP(world.num_runs, 1, sizes, settings.activation, world.dtype)
        start = uniform(RandomStreams(seeds, "agent/init"), sizes)
        self._network.draw(0, start, start)
        self.parameters = [self._network.parameter]
        self._target = self._network.parameter.detach().clone()
        self._target_layers = self._network.layers(self._target)
        self._replay = ReplayBuffer(seeds, settings.buffer_size, inputs, world.dtype)
        self._exploration = RandomStreams(seeds, "agent/exploration")
        self._steps = 0

    def act(self, observation: Tensor) -> Tensor:
        """Return the action of the highest value of each copy."""
        return self._network.infer(observation.flatten(2)).argmax(-1)

    def gradient_steps(self, world: VectorEnv) -> Iterator[GradientStep]:
        """Step ``train_freq`` times, then yield ``gradient_steps`` losses; while the replay fills, only step on."""
        settings, total, steps = self._settings, torch.zeros(world.num_runs, dtype=torch.float64), 0
        while True:
            gathered, metrics = self._gather(world)
            total, steps = total + gathered, steps + settings.train_freq
            if self._steps <= settings.learning_starts:
                continue
            reward = total / (steps * world.num_envs)
            total, steps = torch.zeros_like(total), 0
            batches = self._replay.draw(settings.gradient_steps, settings.batch_size)
            for place, (batch, target) in enumerate(zip(batches, self._targets(batches), strict=True), 1):
                loss, value = self._loss(batch, target)
                yield GradientStep(
                    loss,
                    reward,
                    self._steps,
                    max_grad_norm=settings.max_grad_norm,
                    is_last_of_rollout=place == settings.gradient_steps,
                    metrics={**metrics, "q_value": mean(value)} if place == settings.gradient_steps else {},
                )

    def _gather(self, world: VectorEnv) -> tuple[Tensor, dict[str, Tensor]]:
        """Step every copy ``train_freq`` times; return each run's sum of rewards."""
        total, metrics = np.zeros(world.num_runs), {}
        for at_random, explores, any_action in self._explorations(world.num_envs):
            observation = world.observation.flatten(2).clone()
            action = any_action if at_random else torch.where(explores, any_action, self.act(observation))
            step = world.step(action)
            following = step.final_observation
            # where nothing is worth seeing after a step, it is never looked at either: the episode is over
            following = observation if following is None else following.flatten(2)
            self._replay.add(observation, following, action, step.reward, step.terminated)
            total += step.reward.numpy().sum(1, dtype=np.float64)
            metrics = step.metrics
            self._count(world.num_envs)
        metrics = {**metrics, "exploration_rate": torch.full((world.num_runs,), self._epsilon(self._steps))}
        return torch.from_numpy(total), metrics

    def _explorations(self, num_envs: int) -> list[tuple[bool, Tensor, Tensor]]:
        """Return of each of the next steps whether all act at random, who does, and an action of any, at random."""
        steps = range(self._steps, self._steps + self._settings.train_freq * num_envs, num_envs)
        rates = torch.tensor([self._epsilon(step) for step in steps], dtype=torch.float64)
        draws = self._exploration.uniform(len(steps), num_envs, 2).movedim(0, 1).contiguous()
        explores = draws[..., 0] < rates.view(-1, 1, 1)
        any_action = (draws[..., 1] * self._num_actions).long()
        return list(zip(explores.flatten(1).all(1).tolist(), explores, any_action, strict=True))

    def _epsilon(self, steps: int) -> float:
        """Return the rate of exploration after so many environment steps."""
        settings = self._settings
        if steps < settings.learning_starts:
            return 1.0
        first, last = settings.exploration_initial_eps, settings.exploration_final_eps
        done = min(steps / settings.exploration_steps, 1.0) if settings.exploration_steps else 1.0
        return first + done * (last - first)

    def _count(self, num_envs: int) -> None:
        """Count a step of every copy; the target follows once an interval, between two optimizer steps."""
        interval = self._settings.target_update_interval
        before, self._steps = self._steps, self._steps + num_envs
        if self._steps // interval > before // interval:
            with torch.no_grad():
                if self._settings.tau == 1:
                    self._target.copy_(self.parameters[0])
                else:
                    self._target += self._settings.tau * (self.parameters[0] - self._target)

    def _targets(self, batches: list[Transitions]) -> Iterator[Tensor]:
        """Yield what the values of each minibatch should be, ``(runs, rows)``.

        The target network stands still between the first minibatch and the last: its values come for several at once.
        The network that chooses for it in double Q-learning moves from one minibatch to the next.
        """
        together = 1 if self._settings.double_q else _TOGETHER
        for start in range(0, len(batches), together):
            some = batches[start : start + together]
            following = torch.cat([batch.following for batch in some], 1)
            values = self._network.infer(following, layers=self._target_layers)
            if self._settings.double_q:
                best = self._network.infer(following).argmax(-1, keepdim=True)
                future = values.gather(-1, best).squeeze(-1)
            else:
                future = values.amax(-1)
            goes_on = self._settings.gamma * torch.cat([batch.goes_on for batch in some], 1)
            target = torch.cat([batch.reward for batch in some], 1) + goes_on * future
            yield from target.chunk(len(some), 1)

    def _loss(self, batch: Transitions, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return each run's loss, and the values of the actions taken, ``(runs, rows)``."""
        values = self._network(batch.observation)
        value = values.gather(3, batch.action[:, None, :, None]).view(target.shape)
        return mean(functional.smooth_l1_loss(value, target, reduction="none")), value.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return weights, target, replay, and how far the streams have been drawn."""
        return {
            "parameters": [p.detach().clone() for p in self.parameters],
            "target": self._target.clone(),
            "replay": self._replay.state_dict(),
            "exploration": self._exploration.state_dict(),
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of an agent with the same settings and seeds."""
        load([*self.parameters, self._target], [*state["parameters"], state["target"]])
        self._replay.load_state_dict(state["replay"])
        self._exploration.load_state_dict(state["exploration"])
        self._steps = state["steps"]
