"""Advantage actor-critic: one gradient step per short rollout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval
from torch import Tensor

from rasched.agents.base import AGENTS, GradientStep, VectorEnv
from rasched.agents.minibatches import standardize
from rasched.agents.on_policy import OnPolicyAgent, OnPolicySettings, explained_variance, mean_over_rows


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
        settings = self._settings
        while True:
            rollout = self._collector.collect(env)
            self._env_steps += self._rollout_size
            # One pass through the networks serves the advantages and the loss, because the weights are the same.
            outputs, values = self.network(rollout.observation)
            advantage, returns = rollout.advantages(values.detach(), self.network, settings.gamma, settings.gae_lambda)
            rows = slice(rollout.action.shape[1])  # the rows behind it are the observations after the last step
            losses = self._losses(outputs[:, rows], values[:, rows], rollout.action, advantage, returns)
            policy_loss, value_loss, entropy_loss = losses
            loss = policy_loss + settings.vf_coef * value_loss
            if settings.ent_coef:
                loss = loss + settings.ent_coef * entropy_loss
            metrics = {
                "policy_gradient_loss": policy_loss.detach(),
                "value_loss": value_loss.detach(),
                "entropy_loss": entropy_loss.detach(),
                "explained_variance": explained_variance(values[:, rows].detach(), returns),
            }
            yield GradientStep(
                loss,
                rollout.mean_reward(),
                self._env_steps,
                max_grad_norm=settings.max_grad_norm,
                metrics={**rollout.metrics, **metrics},
                signals=self._signals_of_rollout(rollout.observation[:, rows], outputs[:, rows])(),
            )

    def _losses(
        self, outputs: Tensor, values: Tensor, action: Tensor, advantage: Tensor, returns: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        distribution = self.network.distribution
        policy_loss = -mean_over_rows(self._weight(advantage, returns) * distribution.log_prob(outputs, action))
        value_loss = mean_over_rows((returns - values).square())
        # without a coefficient the entropy is only recorded
        entropy = distribution.entropy(outputs if self._settings.ent_coef else outputs.detach())
        return policy_loss, value_loss, -mean_over_rows(entropy)

    def _weight(self, advantage: Tensor, returns: Tensor) -> Tensor:
        """Return the factor of each log probability in the loss, ``(num_runs, num_rows)``."""
        return standardize(advantage) if self._settings.normalize_advantage else advantage
