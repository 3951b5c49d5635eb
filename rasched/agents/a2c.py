"""Advantage actor-critic: one gradient step per short rollout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval

from rasched.agents.actor_critic import LossGradient
from rasched.agents.base import AGENTS, GradientStep, VectorEnv
from rasched.agents.distributions import Distribution
from rasched.agents.minibatches import standardize
from rasched.agents.mlp import Array
from rasched.agents.on_policy import OnPolicyAgent, OnPolicySettings, explained_variance, mean_over_rows
from rasched.agents.rollout import AdvantageEstimator, Rollout


@AGENTS.register("a2c")
@dataclass(frozen=True, kw_only=True)
class A2CSettings(OnPolicySettings):
    r"""The settings of A2C, the synchronous form of A3C (Mnih et al., 2016).

    With the advantages :math:`A` of a rollout, the returns :math:`G = A + V`, and the entropy :math:`H` of the policy,
    the loss is the mean over the rollout of

        - A log pi(a | s)  +  vf_coef (G - V(s))^2  -  ent_coef H(pi(. | s))

    The defaults are those of Stable-Baselines3.
    """

    n_steps: Annotated[int, Interval(ge=1)] = 5
    gae_lambda: Annotated[float, Interval(ge=0, le=1)] = 1.0
    normalize_advantage: bool = False

    def make(self, env: VectorEnv, seeds: Sequence[int]) -> A2C:
        """Return the agents of ``len(seeds)`` runs; ValueError if there is nothing to observe."""
        return A2C(self, env, seeds)


class A2C(OnPolicyAgent):
    """The policy gradient with a critic as the baseline."""

    def __init__(self, settings: OnPolicySettings, env: VectorEnv, seeds: Sequence[int]) -> None:
        super().__init__(settings, env, seeds)
        self._settings = settings

    def gradient_steps(self, env: VectorEnv) -> Iterator[GradientStep]:
        """Collect a rollout, and yield its loss."""
        while True:
            rollout = self._collector.collect(env)
            self._env_steps += self._rollout_size
            yield self._gradient_step(rollout)

    def _gradient_step(self, rollout: Rollout) -> GradientStep:
        settings, num_runs, num_rows = self._settings, len(rollout.inputs), rollout.inputs.shape[2]
        estimator = AdvantageEstimator(rollout, self.network, settings.gamma, settings.gae_lambda)
        policy_loss, value_loss, entropy = np.empty((3, num_runs), rollout.inputs.dtype)
        all_values, all_returns = np.empty((2, num_runs, num_rows), rollout.inputs.dtype)
        policies: list[tuple[slice, Distribution]] = []

        def loss(policy: Distribution, value: Array, runs: slice) -> LossGradient:
            action = rollout.action[runs]
            advantage, returns = estimator.estimate(value, runs)
            weight, error = self._weight(advantage, returns), value - returns
            policy_loss[runs] = -mean_over_rows(weight * policy.log_prob(action))
            value_loss[runs] = mean_over_rows(np.square(error))
            entropy[runs] = mean_over_rows(policy.entropy())
            all_values[runs], all_returns[runs] = value, returns
            policies.append((runs, policy))
            return LossGradient(
                action,
                log_prob=weight / -num_rows,
                entropy=-settings.ent_coef / num_rows,
                value=error * (2 * settings.vf_coef / num_rows),
            )

        gradients = self.network.backward(rollout.inputs, loss)
        metrics = {
            "policy_gradient_loss": torch.from_numpy(policy_loss),
            "value_loss": torch.from_numpy(value_loss),
            "entropy_loss": torch.from_numpy(-entropy),
            "explained_variance": explained_variance(all_values, all_returns),
        }
        return GradientStep(
            torch.from_numpy(policy_loss + settings.vf_coef * value_loss - settings.ent_coef * entropy),
            rollout.mean_reward(),
            self._env_steps,
            max_grad_norm=settings.max_grad_norm,
            metrics={**rollout.metrics, **metrics},
            gradients=gradients,
            signals=self._signals_of_rollout(rollout.inputs, policies)(),
        )

    def _weight(self, advantage: Array, returns: Array) -> Array:
        """Return the factor of each log probability in the loss, ``(num_runs, num_rows)``."""
        return standardize(advantage) if self._settings.normalize_advantage else advantage
