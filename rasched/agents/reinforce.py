"""The score-function gradient of Williams (1992), one pull an episode: the gradient bandit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.agents.base import AGENTS, Agent, AgentSettings, Update, World
from rasched.agents.networks import policy_network
from rasched.registry import number
from rasched.streams import Streams


@AGENTS.register("reinforce")
@dataclass(frozen=True, kw_only=True)
class Reinforce(AgentSettings):
    r"""Raise the log probability of an action in proportion to how much better than usual it paid.

    With preferences :math:`H`, policy :math:`\pi = softmax(H)`, reward :math:`R_t` and baseline :math:`b_t`, the loss
    is

        - (R_t - b_t) log pi(A_t)

    whose gradient step with SGD is the gradient bandit of Sutton & Barto (2018), section 2.8. The baseline is the mean
    of the rewards before :math:`t` (``baseline_rate=0``), or an exponential one at that rate; the first advantage is 0.
    Where the environment shows a context, preferences come from a network with the layers ``hidden``.
    """

    baseline: bool = True
    baseline_rate: float = 0.0  # 0: the mean of all rewards so far
    hidden: tuple[int, ...] = (32,)

    def __post_init__(self) -> None:
        number("agent.baseline_rate", self.baseline_rate, "in [0, 1)", lambda r: 0 <= r < 1)
        if self.baseline_rate and not self.baseline:
            raise ValueError("agent.baseline_rate goes with agent.baseline=true only: leave one of the two out")
        object.__setattr__(self, "hidden", tuple(self.hidden))  # a list, where it came from YAML
        for width in self.hidden:
            number("agent.hidden", width, "whole numbers of at least 1", lambda w: w >= 1 and w == int(w))

    def make(self, world: World, seeds: Sequence[int]) -> GradientBandit:
        """Return the learners of a world with discrete actions; continuous ones are a ValueError."""
        if world.num_actions is None:
            raise ValueError("agent reinforce chooses among actions, this environment's are continuous")
        return GradientBandit(self, world, world.num_actions, seeds)


class GradientBandit(Agent):
    """Softmax preferences, and the mean reward to compare with."""

    def __init__(self, settings: Reinforce, world: World, num_actions: int, seeds: Sequence[int]) -> None:
        self._settings = settings
        self._actions = Streams(seeds, "agent/action")
        self._policy = policy_network(
            Streams(seeds, "agent/init"), world.runs, world.observation_shape, settings.hidden, num_actions, world.dtype
        )
        self.parameters = self._policy.parameters
        self._mean = torch.zeros(world.runs, dtype=world.dtype)
        self._count = 0

    def updates(self, world: World) -> Iterator[Update]:
        """Pull once in every copy, and yield the loss of the pulls."""
        while True:
            log_probability = self._policy(world.observation).log_softmax(-1)  # (runs, copies, actions)
            action = self._choose(log_probability)
            step = world.step(action)
            reward = over_copies(step.reward)
            chosen = log_probability.gather(2, action.unsqueeze(2)).squeeze(2)
            loss = -over_copies(self._advantage(step.reward, reward) * chosen)
            self._count += 1
            self._update_mean(reward)
            yield Update(loss, reward, self._count * world.copies, metrics=step.metrics)

    def _choose(self, log_probability: Tensor) -> Tensor:
        """Draw an action a copy by inverting the cumulative distribution, int64 ``(runs, copies)``."""
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
        rate = max(self._settings.baseline_rate, 1 / self._count)
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


def over_copies(values: Tensor) -> Tensor:
    """Return the mean over the copies, ``(runs,)`` from ``(runs, copies)``.

    Not ``mean``: its order of addition depends on the size of the batch, and a run's numbers must not.
    """
    if values.shape[1] == 1:
        return values.squeeze(1)
    return values.cumsum(1)[:, -1] / values.shape[1]
