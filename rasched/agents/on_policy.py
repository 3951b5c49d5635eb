"""What A2C, PPO and episodic REINFORCE share: settings, rollouts and an actor-critic."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from rasched.agents.actor_critic import ActorCritic, copy_parameters
from rasched.agents.base import Agent, AgentSettings, MeasuredSignals, VectorEnv
from rasched.agents.distributions import Distribution
from rasched.agents.mlp import Array
from rasched.agents.rollout import RolloutCollector
from rasched.validation import SettingError, check_settings


@dataclass(frozen=True, kw_only=True)
class OnPolicySettings(AgentSettings):
    """The settings that the on-policy agents share.

    Each rollout has ``n_steps`` steps of every environment. Its advantages are estimated with ``gamma``,
    ``gae_lambda`` and a critic.
    """

    signals: ClassVar[tuple[str, ...]] = ("kl", "entropy")

    n_steps: Annotated[int, Interval(ge=1)]
    gamma: Annotated[float, Interval(ge=0, le=1)] = 0.99
    gae_lambda: Annotated[float, Interval(ge=0, le=1)] = 0.95
    ent_coef: Annotated[float, Interval(ge=0)] = 0.0
    vf_coef: Annotated[float, Interval(ge=0)] = 0.5
    max_grad_norm: Annotated[float, Interval(gt=0)] | None = 0.5  # of each run's whole gradient; null: not clipped
    normalize_advantage: bool = True
    hidden: tuple[int, ...] = (64, 64)  # units per hidden layer, in the policy and in the critic
    activation: Literal["relu", "tanh"] = "tanh"
    log_std_init: float = 0.0  # continuous actions: the log of the standard deviation at the start

    @property
    def steps_per_row(self) -> int:
        """Steps of each environment copy between two rows of the metrics."""
        return self.n_steps

    def __post_init__(self) -> None:
        check_settings(self, "agent.")
        check_hidden(self)

    @abstractmethod
    def make(self, env: VectorEnv, seeds: Sequence[int]) -> OnPolicyAgent:
        """Return the agents of ``len(seeds)`` runs; ValueError if there is nothing to observe."""


class OnPolicyAgent(Agent):
    """An actor-critic that learns from its own rollouts, each used before the next begins."""

    def __init__(self, settings: OnPolicySettings, env: VectorEnv, seeds: Sequence[int]) -> None:
        if not env.observation_shape:
            raise ValueError(
                f"agent {settings.name} reads observations, and this environment shows none: take agent=reinforce"
            )
        self.network = ActorCritic(env, seeds, settings.hidden, settings.activation, settings.log_std_init)
        self.parameters = self.network.parameters
        self._collector = RolloutCollector(self.network, env, settings.n_steps, seeds)
        self._rollout_size = settings.n_steps * env.num_envs
        self._env_steps = 0

    def act(self, observation: Tensor) -> Tensor:
        """Return the most likely action of each environment."""
        return self.network.act(observation)

    def _signals_of_rollout(
        self, inputs: Array, policies: Sequence[tuple[slice, Distribution]]
    ) -> Callable[[], MeasuredSignals]:
        """Return what makes the signals of each gradient step on a rollout.

        ``kl`` is the mean KL divergence over the observations of these inputs, from the policy that collected them to
        the policy at the time when it is read. It is exact. ``entropy`` is the mean entropy of the policy at that time.
        ``policies`` are the distributions when the rollout was collected, with the runs that each is of.
        """
        network = self.network

        def measure() -> dict[str, Tensor]:
            outputs = network.outputs(inputs)
            pairs = [(old, network.head.distribution(outputs[runs], runs)) for runs, old in policies]
            kl = np.concatenate([mean_over_rows(old.kl(new)) for old, new in pairs])
            entropy = np.concatenate([mean_over_rows(new.entropy()) for _, new in pairs])
            return {"kl": torch.from_numpy(kl), "entropy": torch.from_numpy(entropy)}

        return lambda: MeasuredSignals(OnPolicySettings.signals, measure)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the positions of the random streams; between rollouts nothing else changes."""
        return {
            "parameters": [p.detach().clone() for p in self.parameters],
            "steps": self._env_steps,
            "collector": self._collector.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an agent with the same settings and seeds."""
        copy_parameters(self.parameters, state["parameters"])
        self._env_steps = state["steps"]
        self._collector.load_state_dict(state["collector"])


def mean_over_rows(values: Array) -> Array:
    """Return each run's mean ``(num_runs,)`` of ``(num_runs, num_rows)``."""
    mean: Array = values.sum(1) / values.shape[1]
    return mean


@np.errstate(all="ignore")
def explained_variance(value: Array, returns: Array) -> Tensor:
    """Return ``1 - var(returns - value) / var(returns)`` of each run: 1 is a perfect critic, 0 a constant one.

    NaN if the returns do not vary.
    """
    error_variance, variance = (
        mean_over_rows(np.square(x - mean_over_rows(x)[:, None])) for x in (returns - value, returns)
    )
    return torch.from_numpy(np.where(variance > 0, 1 - error_variance / variance, np.nan).astype(value.dtype))


def check_hidden(settings: Any) -> None:
    """Make ``hidden`` a tuple (YAML gives a list); SettingError unless it holds numbers of units."""
    object.__setattr__(settings, "hidden", tuple(settings.hidden))
    for units in settings.hidden:
        if isinstance(units, bool) or not isinstance(units, int) or units < 1:
            raise SettingError("hidden", "must be whole numbers of at least 1", units, subject="agent.hidden")
