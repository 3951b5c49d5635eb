"""Advantage actor-critic: one gradient of each short rollout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from rasched.agents.base import AGENTS, GradientStep, VectorEnv
from rasched.agents.minibatches import standardized
from rasched.agents.on_policy import OnPolicy, OnPolicySettings, explained_variance, mean


@AGENTS.register("a2c")
@dataclass(frozen=True, kw_only=True)
class A2CSettings(OnPolicySettings):
    r"""The synchronous form of A3C (Mnih et al., 2016).

    With advantages :math:`A` of a rollout, returns :math:`G = A + V`, and entropy :math:`H` of the policy, the loss is
    the mean over the rollout of

        - A log pi(a | s)  +  vf_coef (G - V(s))^2  -  ent_coef H(pi(. | s))

    The defaults are those of Stable-Baselines3.
    """

    n_steps: int = 5
    gae_lambda: float = 1.0
    normalize_advantage: bool = False

    def make(self, world: VectorEnv, seeds: Sequence[int]) -> A2C:
        """Return the learners of ``len(seeds)`` runs; ValueError where there is nothing to observe."""
        return A2C(self, world, seeds)


class A2C(OnPolicy):
    """The policy gradient with a critic for baseline."""

    def __init__(self, settings: OnPolicySettings, world: VectorEnv, seeds: Sequence[int]) -> None:
        super().__init__(settings, world, seeds)
        self._settings = settings

    def gradient_steps(self, world: VectorEnv) -> Iterator[GradientStep]:
        """Collect a rollout, and yield its loss."""
        settings = self._settings
        while True:
            rollout = self._collector.collect(world)
            self._steps += self._steps_a_rollout
            # One pass through the networks serves the advantages and the loss: the weights are still the same.
            outputs, values = self.network(rollout.observation)
            advantage, returns = rollout.advantages(values.detach(), self.network, settings.gamma, settings.gae_lambda)
            taken = slice(rollout.action.shape[1])  # the rows behind it are what comes after the last step
            losses = self._losses(outputs[:, taken], values[:, taken], rollout.action, advantage, returns)
            policy_loss, value_loss, entropy_loss = losses
            loss = policy_loss + settings.vf_coef * value_loss
            if settings.ent_coef:
                loss = loss + settings.ent_coef * entropy_loss
            metrics = {
                "policy_gradient_loss": policy_loss.detach(),
                "value_loss": value_loss.detach(),
                "entropy_loss": entropy_loss.detach(),
                "explained_variance": explained_variance(values[:, taken].detach(), returns),
            }
            yield GradientStep(
                loss,
                rollout.mean_reward(),
                self._steps,
                max_grad_norm=settings.max_grad_norm,
                metrics={**rollout.metrics, **metrics},
            )

    def _losses(
        self, outputs: Tensor, values: Tensor, action: Tensor, advantage: Tensor, returns: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        choice = self.network.distribution
        policy_loss = -mean(self._weight(advantage, returns) * choice.log_prob(outputs, action))
        value_loss = mean((returns - values).square())
        # without a coefficient the entropy is only looked at
        entropy = choice.entropy(outputs if self._settings.ent_coef else outputs.detach())
        return policy_loss, value_loss, -mean(entropy)

    def _weight(self, advantage: Tensor, returns: Tensor) -> Tensor:
        """Return what the log probability of each action is raised in proportion to, ``(runs, rows)``."""
        return standardized(advantage) if self._settings.normalize_advantage else advantage
