"""What a2c, ppo and episodic reinforce share: settings, a rollout collector, an actor-critic and its three losses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.agents.actor_critic import ActorCritic, load
from rasched.agents.base import Agent, AgentSettings, VectorEnv
from rasched.agents.mlp import ACTIVATIONS
from rasched.agents.rollout import RolloutCollector
from rasched.validation import check_number


@dataclass(frozen=True, kw_only=True)
class OnPolicySettings(AgentSettings):
    """``n_steps`` steps of every copy feed an update; what they are worth is judged with ``gamma`` and a critic."""

    n_steps: int
    gamma: float = 0.99
    gae_lambda: float = 0.95
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float | None = 0.5  # of each run's whole gradient; null: not clipped
    normalize_advantage: bool = True
    hidden: tuple[int, ...] = (64, 64)  # of the policy, and of the critic beside it
    activation: str = "tanh"
    log_std_init: float = 0.0  # continuous actions: log of the standard deviation at first

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))  # a list, where it came from YAML
        whole("n_steps", self.n_steps)
        check_number("agent.gamma", self.gamma, "in [0, 1]", lambda v: 0 <= v <= 1)
        check_number("agent.gae_lambda", self.gae_lambda, "in [0, 1]", lambda v: 0 <= v <= 1)
        check_number("agent.ent_coef", self.ent_coef, "at least 0", lambda v: v >= 0)
        check_number("agent.vf_coef", self.vf_coef, "at least 0", lambda v: v >= 0)
        check_number("agent.log_std_init", self.log_std_init, "finite", lambda v: True)
        check_network(self.hidden, self.activation)
        check_norm(self.max_grad_norm)

    @abstractmethod
    def make(self, world: VectorEnv, seeds: Sequence[int]) -> OnPolicy:
        """Return the learners of ``len(seeds)`` runs; ValueError where there is nothing to observe."""


class OnPolicy(Agent):
    """An actor-critic that learns from its own rollouts, each used up before the next begins."""

    def __init__(self, settings: OnPolicySettings, world: VectorEnv, seeds: Sequence[int]) -> None:
        if not world.observation_shape:
            raise ValueError(
                f"agent {settings.name} reads observations, and this environment shows none: take agent=reinforce"
            )
        self.network = ActorCritic(world, seeds, settings.hidden, settings.activation, settings.log_std_init)
        self.parameters = self.network.parameters
        self._collector = RolloutCollector(self.network, world, settings.n_steps, seeds)
        self._steps_a_rollout = settings.n_steps * world.num_envs
        self._steps = 0

    def act(self, observation: Tensor) -> Tensor:
        """Return the likeliest action of each copy."""
        return self.network.act(observation)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights, and how far the streams have been drawn; between two rollouts nothing else moves."""
        return {
            "parameters": [p.detach().clone() for p in self.parameters],
            "steps": self._steps,
            "collector": self._collector.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of an agent with the same settings and seeds."""
        load(self.parameters, state["parameters"])
        self._steps = state["steps"]
        self._collector.load_state_dict(state["collector"])


def mean(rows: Tensor) -> Tensor:
    """Return each run's mean ``(runs,)`` of ``(runs, rows)``."""
    return rows.sum(1) / rows.shape[1]


def explained_variance(value: Tensor, returns: Tensor) -> Tensor:
    """Return ``1 - var(returns - value) / var(returns)`` of each run: 1 is a perfect critic, 0 a constant one.

    NaN where the returns do not vary.
    """
    error = returns - value
    of_error, of_returns = (mean((x - mean(x).unsqueeze(1)).square()) for x in (error, returns))
    return torch.where(of_returns > 0, 1 - of_error / of_returns, torch.nan)


def whole(name: str, value: Any, least: int = 1) -> None:
    """Raise ValueError unless the setting is a whole number of at least ``least``."""
    check_number(f"agent.{name}", value, f"a whole number of at least {least}", lambda v: v >= least and v == int(v))


def check_network(hidden: tuple[int, ...], activation: str) -> None:
    """Raise ValueError unless these describe a network."""
    for width in hidden:
        check_number("agent.hidden", width, "whole numbers of at least 1", lambda w: w >= 1 and w == int(w))
    if activation not in ACTIVATIONS:
        raise ValueError(f"agent.activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")


def check_norm(max_grad_norm: float | None) -> None:
    """Raise ValueError unless gradients can be clipped to this norm."""
    if max_grad_norm is not None:
        check_number("agent.max_grad_norm", max_grad_norm, "above 0, or null", lambda v: v > 0)
