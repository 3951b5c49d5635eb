"""The score-function gradient of Williams (1992): the gradient bandit, and its form for longer episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.agents.a2c import A2C, A2CSettings
from rasched.agents.base import AGENTS, Agent, AgentSettings, GradientStep, VectorEnv
from rasched.agents.networks import policy_network
from rasched.numerics import mean_over_envs
from rasched.rng import RandomStreams
from rasched.validation import check_number


@AGENTS.register("reinforce")
@dataclass(frozen=True, kw_only=True)
class ReinforceSettings(AgentSettings):
    r"""Raise the log probability of an action in proportion to how much better than usual it paid.

    With preferences :math:`H`, policy :math:`\pi = softmax(H)`, reward :math:`R_t` and baseline :math:`b_t`, the loss
    is

        - (R_t - b_t) log pi(A_t)

    whose gradient step with SGD is the gradient bandit of Sutton & Barto (2018), section 2.8. The baseline is the mean
    of the rewards before :math:`t` (``baseline_step_size=0``), or an exponential one at that rate; the first advantage
    is 0.
    Where the environment shows a context, preferences come from a network with the layers ``hidden``.

    Where episodes have more than one step, :math:`R_t` is the return to go, discounted by ``gamma``, over windows of
    ``n_steps`` of each copy, and the baseline a critic beside the policy: ``baseline_step_size`` has no meaning there.
    What an episode would have brought behind the window's end, the critic guesses.
    """

    baseline: bool = True
    baseline_step_size: float = 0.0  # 0: the mean of all rewards so far
    hidden: tuple[int, ...] = (32,)
    n_steps: int = 500  # from here on for episodes of many steps
    gamma: float = 0.99
    vf_coef: float = 0.5
    max_grad_norm: float | None = None

    def __post_init__(self) -> None:
        check_number("agent.baseline_step_size", self.baseline_step_size, "in [0, 1)", lambda r: 0 <= r < 1)
        if self.baseline_step_size and not self.baseline:
            raise ValueError("agent.baseline_step_size goes with agent.baseline=true only: leave one of the two out")
        object.__setattr__(self, "hidden", tuple(self.hidden))  # a list, where it came from YAML
        self.episodic()

    def episodic(self) -> A2CSettings:
        """Return the same in the words of a2c: the whole return less a critic's value is its advantage at lambda 1."""
        return A2CSettings(
            n_steps=self.n_steps,
            gamma=self.gamma,
            gae_lambda=1.0,
            vf_coef=self.vf_coef,
            max_grad_norm=self.max_grad_norm,
            hidden=self.hidden,
        )

    def make(self, world: VectorEnv, seeds: Sequence[int]) -> GradientBandit | Reinforce:
        """Return the learners; ValueError for continuous actions of a bandit, or episodes of which nothing is seen."""
        if not world.is_bandit:
            return Reinforce(self, world, seeds)
        if world.num_actions is None:
            raise ValueError("agent reinforce chooses among actions, this environment's are continuous")
        return GradientBandit(self, world, world.num_actions, seeds)


class Reinforce(A2C):
    """The policy gradient by returns to go, less a critic's value or as they are."""

    def __init__(self, settings: ReinforceSettings, world: VectorEnv, seeds: Sequence[int]) -> None:
        super().__init__(settings.episodic(), world, seeds)
        self._baseline = settings.baseline

    def _weight(self, advantage: Tensor, returns: Tensor) -> Tensor:
        return advantage if self._baseline else returns


class GradientBandit(Agent):
    """Softmax preferences, and the mean reward to compare with."""

    def __init__(self, settings: ReinforceSettings, world: VectorEnv, num_actions: int, seeds: Sequence[int]) -> None:
        self._settings = settings
        self._actions = RandomStreams(seeds, "agent/action")
        self._policy = policy_network(
            RandomStreams(seeds, "agent/init"),
            world.num_runs,
            world.observation_shape,
            settings.hidden,
            num_actions,
            world.dtype,
        )
        self.parameters = self._policy.parameters
        self._mean = torch.zeros(world.num_runs, dtype=world.dtype)
        self._count = 0

    def gradient_steps(self, world: VectorEnv) -> Iterator[GradientStep]:
        """Pull once in every copy, and yield the loss of the pulls."""
        while True:
            log_probability = self._policy(world.observation).log_softmax(-1)  # (runs, num_envs, actions)
            action = self._choose(log_probability)
            step = world.step(action)
            reward = mean_over_envs(step.reward)
            chosen = log_probability.gather(2, action.unsqueeze(2)).squeeze(2)
            loss = -mean_over_envs(self._advantage(step.reward, reward) * chosen)
            self._count += 1
            self._update_mean(reward)
            yield GradientStep(loss, reward, self._count * world.num_envs, metrics=step.metrics)

    def _choose(self, log_probability: Tensor) -> Tensor:
        """Draw an action a copy by inverting the cumulative distribution, int64 ``(runs, num_envs)``."""
        cumulative = log_probability.detach().exp().cumsum(-1)
        u = self._actions.uniform(cumulative.shape[1]).unsqueeze(2)
        # the last entry is left out: rounding may leave it under 1, and u above it
        return (cumulative[..., :-1] < u).sum(-1)

    def _advantage(self, rewards: Tensor, mean_reward: Tensor) -> Tensor:
        if not self._settings.baseline:
            return rewards
        baseline = self._mean if self._count else mean_reward
        return rewards - baseline.unsqueeze(1)

    def _update_mean(self, reward: Tensor) -> None:
        rate = max(self._settings.baseline_step_size, 1 / self._count)
        self._mean = self._mean + (reward - self._mean) * rate

    def state_dict(self) -> dict[str, Any]:
        """Return the preferences or weights, the mean reward, and how far the stream of actions has been drawn."""
        return {
            "parameters": [p.detach().clone() for p in self.parameters],
            "mean": self._mean,
            "count": self._count,
            "actions": self._actions.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of an agent with the same settings and seeds."""
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self._mean, self._count = state["mean"], state["count"]
        self._actions.load_state_dict(state["actions"])
