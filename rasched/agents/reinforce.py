"""REINFORCE (Williams, 1992): the gradient bandit, and its form for episodes of many steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from rasched.agents.a2c import A2C, A2CSettings
from rasched.agents.actor_critic import copy_parameters
from rasched.agents.base import AGENTS, Agent, AgentSettings, GradientStep, MeasuredSignals, VectorEnv
from rasched.agents.mlp import Array, BatchedMLP, TabularPolicy, uniform_init
from rasched.agents.on_policy import check_hidden
from rasched.memory import check_memory
from rasched.numerics import mean_over_envs
from rasched.rng import RandomStreams
from rasched.validation import check_settings


@AGENTS.register("reinforce")
@dataclass(frozen=True, kw_only=True)
class ReinforceSettings(AgentSettings):
    r"""Raise the log probability of an action in proportion to its reward above a baseline.

    In a bandit, with preferences :math:`H`, policy :math:`\pi = softmax(H)`, reward :math:`R_t` and baseline
    :math:`b_t`, the loss is

        - (R_t - b_t) log pi(A_t)

    Its gradient step with SGD is the gradient bandit of Sutton & Barto (2018), section 2.8. The baseline is the mean of
    the rewards before :math:`t` (``baseline_step_size=0``), or an exponential mean with that step size. The first
    advantage is 0. If the environment shows a context, the preferences come from a network with the layers ``hidden``.

    If episodes have more than one step, :math:`R_t` is the return to go, discounted by ``gamma``, in windows of
    ``n_steps`` of each environment, and the baseline is a critic: ``baseline_step_size`` is not used. The critic also
    estimates the return after the end of the window.
    """

    signals: ClassVar[tuple[str, ...]] = ("kl", "entropy")

    baseline: bool = True
    baseline_step_size: Annotated[float, Interval(ge=0, lt=1)] = 0.0  # 0: the mean of all rewards so far
    hidden: tuple[int, ...] = (32,)
    n_steps: Annotated[int, Interval(ge=1)] = 500  # this and the settings below are for episodes of many steps
    gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99
    vf_coef: Annotated[float, Interval(ge=0)] = 0.5
    max_grad_norm: Annotated[float, Interval(gt=0)] | None = None

    @property
    def steps_per_row(self) -> int:
        """Steps of each environment copy between two rows of the metrics."""
        return self.n_steps

    def __post_init__(self) -> None:
        check_settings(self, "agent.")
        check_hidden(self)
        if self.baseline_step_size and not self.baseline:
            raise ValueError("agent.baseline_step_size goes with agent.baseline=true only: leave one of the two out")

    def as_a2c(self) -> A2CSettings:
        """Return the settings of A2C with the same loss: with ``gae_lambda=1`` the advantage is ``G - V``."""
        return A2CSettings(
            n_steps=self.n_steps,
            gamma=self.gamma,
            gae_lambda=1.0,
            vf_coef=self.vf_coef,
            max_grad_norm=self.max_grad_norm,
            hidden=self.hidden,
        )

    def make(self, env: VectorEnv, seeds: Sequence[int]) -> GradientBandit | Reinforce:
        """Return the agents; ValueError for a bandit's continuous actions, or episodes without observations."""
        if not env.is_bandit:
            return Reinforce(self, env, seeds)
        if env.num_actions is None:
            raise ValueError("agent reinforce chooses among actions, this environment's are continuous")
        return GradientBandit(self, env, env.num_actions, seeds)


class Reinforce(A2C):
    """The policy gradient with returns to go, with or without a critic as the baseline."""

    def __init__(self, settings: ReinforceSettings, env: VectorEnv, seeds: Sequence[int]) -> None:
        super().__init__(settings.as_a2c(), env, seeds)
        self._baseline = settings.baseline

    def _weight(self, advantage: Array, returns: Array) -> Array:
        return advantage if self._baseline else returns


class GradientBandit(Agent):
    """Softmax preferences, and the mean reward as the baseline."""

    def __init__(self, settings: ReinforceSettings, env: VectorEnv, num_actions: int, seeds: Sequence[int]) -> None:
        # probabilities with their graph, and cumulated, in float64
        check_memory("env.arms times env.num_envs", env.num_runs * env.num_envs * num_actions * 8 * 6)
        self._settings = settings
        self._action_streams = RandomStreams(seeds, "agent/action")
        self._policy: TabularPolicy | BatchedMLP
        if env.observation_shape:
            sizes = [prod(env.observation_shape), *settings.hidden, num_actions]
            self._policy = BatchedMLP(env.num_runs, 1, sizes, "tanh", env.dtype)
            # the last layer starts at zero, so that all actions are as likely
            initializer = uniform_init(RandomStreams(seeds, "agent/init"), sizes, last_is_zero=True)
            self._policy.init_weights(0, initializer, initializer)
        else:
            self._policy = TabularPolicy(env.num_runs, num_actions, env.dtype)
        self.parameters = [self._policy.parameter]
        self._mean_reward = torch.zeros(env.num_runs, dtype=env.dtype)
        self._num_steps = 0

    def act(self, observation: Tensor) -> Tensor:
        """Return the arm of the highest preference in each environment."""
        with torch.no_grad():
            is_contextual = isinstance(self._policy, BatchedMLP)
            return self._policy(observation.flatten(2) if is_contextual else observation).argmax(-1)

    def gradient_steps(self, env: VectorEnv) -> Iterator[GradientStep]:
        """Take one action in every environment, and yield the loss."""
        while True:
            observation = env.observation.flatten(2) if env.observation_shape else env.observation
            log_probs = self._policy(observation).log_softmax(-1)  # (num_runs, num_envs, num_actions)
            action = self._sample(log_probs)
            step = env.step(action)
            reward = mean_over_envs(step.reward)
            log_prob = log_probs.gather(2, action.unsqueeze(2)).squeeze(2)
            loss = -mean_over_envs(self._advantage(step.reward, reward) * log_prob)
            self._num_steps += 1
            self._update_mean_reward(reward)
            signals = MeasuredSignals(self._settings.signals, partial(self._measure, observation, log_probs.detach()))
            yield GradientStep(loss, reward, self._num_steps * env.num_envs, metrics=step.metrics, signals=signals)

    def _measure(self, observation: Tensor, old_log_probs: Tensor) -> dict[str, Tensor]:
        """Return the KL divergence from earlier probabilities to the policy now, and its entropy, as means."""
        with torch.no_grad():
            log_probs = self._policy(observation).log_softmax(-1)
        kl = (old_log_probs.exp() * (old_log_probs - log_probs)).sum(-1)
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        return {"kl": mean_over_envs(kl), "entropy": mean_over_envs(entropy)}

    def _sample(self, log_probs: Tensor) -> Tensor:
        """Sample one action per environment by the inverse cumulative distribution, int64 ``(num_runs, num_envs)``."""
        cumulative = log_probs.detach().exp().cumsum(-1)
        u = self._action_streams.uniform(cumulative.shape[1]).unsqueeze(2)
        # The last entry is left out, because rounding may leave it under 1, and u above it.
        return (cumulative[..., :-1] < u).sum(-1)

    def _advantage(self, rewards: Tensor, mean_reward: Tensor) -> Tensor:
        if not self._settings.baseline:
            return rewards
        baseline = self._mean_reward if self._num_steps else mean_reward
        return rewards - baseline.unsqueeze(1)

    def _update_mean_reward(self, reward: Tensor) -> None:
        step_size = max(self._settings.baseline_step_size, 1 / self._num_steps)
        self._mean_reward = self._mean_reward + (reward - self._mean_reward) * step_size

    def state_dict(self) -> dict[str, Any]:
        """Return the preferences or weights, the mean reward, and the position of the stream of actions."""
        return {
            "parameters": [p.detach().clone() for p in self.parameters],
            "mean": self._mean_reward,
            "count": self._num_steps,
            "actions": self._action_streams.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an agent with the same settings and seeds."""
        copy_parameters(self.parameters, state["parameters"])
        self._mean_reward, self._num_steps = state["mean"], state["count"]
        self._action_streams.load_state_dict(state["actions"])
