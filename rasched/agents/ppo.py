"""Proximal policy optimisation: many small steps on one rollout, none of them far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.agents.base import AGENTS, GradientStep, VectorEnv
from rasched.agents.distributions import Distribution
from rasched.agents.minibatches import Batch, Minibatches
from rasched.agents.on_policy import OnPolicy, OnPolicySettings, explained_variance, mean, whole
from rasched.validation import check_number


@AGENTS.register("ppo")
@dataclass(frozen=True, kw_only=True)
class PPOSettings(OnPolicySettings):
    r"""The clipped surrogate of Schulman et al. (2017).

    With the ratio :math:`r` of an action's probability to what it was when the action was taken, the loss is the mean
    over a minibatch of

        - min(r A, clip(r, 1 - clip_range, 1 + clip_range) A)  +  vf_coef (G - V(s))^2  -  ent_coef H(pi(. | s))

    Each run shuffles its own rows and standardises its own advantages, minibatch by minibatch. ``clip_range_vf`` keeps
    a value that near to what it was. A run whose estimated KL divergence (Schulman's ``r - 1 - log r``) passes 1.5
    times ``target_kl`` takes no further step on the rollout. The defaults are those of Stable-Baselines3.
    """

    n_steps: int = 2048
    batch_size: int = 64  # rows of a run; the last minibatch of an epoch may be smaller
    n_epochs: int = 10
    clip_range: float = 0.2
    clip_range_vf: float | None = None
    target_kl: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("batch_size", self.batch_size, least=2 if self.normalize_advantage else 1)
        whole("n_epochs", self.n_epochs)
        check_number("agent.clip_range", self.clip_range, "above 0", lambda v: v > 0)
        for name in ("clip_range_vf", "target_kl"):
            value = getattr(self, name)
            if value is not None:
                check_number(f"agent.{name}", value, "above 0, or null", lambda v: v > 0)

    def make(self, world: VectorEnv, seeds: Sequence[int]) -> PPO:
        """Return the learners of ``len(seeds)`` runs; ValueError where there is nothing to observe."""
        return PPO(self, world, seeds)


class _Seen:
    """What the minibatches of a rollout showed each run that had not stopped, looked at once at the rollout's end."""

    def __init__(self, choice: Distribution, clip_range: float, minibatches: int) -> None:
        self._choice, self._clip_range, self._minibatches = choice, clip_range, minibatches
        self._policy_loss: list[Tensor] = []
        self._value_loss: list[Tensor] = []
        self._log_ratio: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._stops = False

    def add(
        self, entered: Tensor | None, policy_loss: Tensor, value_loss: Tensor, log_ratio: Tensor, outputs: Tensor
    ) -> None:
        """Take what a minibatch showed, of the runs that entered it (None: all)."""
        self._policy_loss.append(_of(entered, policy_loss.detach()))
        self._value_loss.append(_of(entered, value_loss.detach()))
        self._log_ratio.append(_of(entered, log_ratio.detach()))
        self._outputs.append(outputs.detach())
        self._stops = self._stops or entered is not None

    def metrics(self) -> dict[str, Tensor]:
        """Return the means over all epochs, and of ``approx_kl`` over the last epoch that a run entered."""
        log_ratio = torch.cat(self._log_ratio, 1)
        entered = ~log_ratio.isnan()
        entropy = self._choice.entropy(torch.cat(self._outputs, 1)).detach()
        far = ((log_ratio.exp() - 1).abs() > self._clip_range).to(entropy.dtype)
        return {
            "policy_gradient_loss": torch.stack(self._policy_loss, 1).nanmean(1),
            "value_loss": torch.stack(self._value_loss, 1).nanmean(1),
            "entropy_loss": -torch.where(entered, entropy, torch.nan).nanmean(1),
            "clip_fraction": torch.where(entered, far, torch.nan).nanmean(1),
            "approx_kl": self._divergence(),
        }

    def _divergence(self) -> Tensor:
        first = (len(self._log_ratio) - 1) // self._minibatches * self._minibatches  # of the last epoch
        kl = divergence(torch.cat(self._log_ratio[first:], 1)).nanmean(1)
        while self._stops and first and kl.isnan().any():
            first, last = first - self._minibatches, first
            before = divergence(torch.cat(self._log_ratio[first:last], 1)).nanmean(1)
            kl = torch.where(kl.isnan(), before, kl)
        return kl


def divergence(log_ratio: Tensor) -> Tensor:
    """Return an estimate of the KL divergence from each row: without bias, and never negative (Schulman, 2020)."""
    return log_ratio.exp() - 1 - log_ratio


def _of(entered: Tensor | None, value: Tensor) -> Tensor:
    return value if entered is None else torch.where(entered.view(-1, *[1] * (value.dim() - 1)), value, torch.nan)


class PPO(OnPolicy):
    """Epochs of minibatches over each rollout."""

    def __init__(self, settings: PPOSettings, world: VectorEnv, seeds: Sequence[int]) -> None:
        super().__init__(settings, world, seeds)
        self._settings = settings
        self._minibatches = Minibatches(seeds, self._steps_a_rollout, settings.batch_size, settings.normalize_advantage)

    def gradient_steps(self, world: VectorEnv) -> Iterator[GradientStep]:
        """Collect a rollout, and yield the loss of one minibatch after another."""
        settings, network = self._settings, self.network
        while True:
            rollout = self._collector.collect(world)
            self._steps += self._steps_a_rollout
            reward, taken = rollout.mean_reward(), slice(self._steps_a_rollout)
            with torch.no_grad():
                outputs, value = network(rollout.observation)
                log_prob = network.distribution.log_prob(outputs[:, taken], rollout.action)
            advantage, returns = rollout.advantages(value, network, settings.gamma, settings.gae_lambda)
            rows = Batch(rollout.observation[:, taken], rollout.action, log_prob, advantage, returns, value[:, taken])
            for update in self._epochs(rows, reward):
                if update.is_last_of_rollout:
                    update.metrics |= rollout.metrics
                    update.metrics["explained_variance"] = explained_variance(value[:, taken], returns)
                yield update

    def _epochs(self, rows: Batch, reward: Tensor) -> Iterator[GradientStep]:
        settings = self._settings
        seen = _Seen(self.network.distribution, settings.clip_range, self._minibatches.count)
        active: Tensor | None = None
        for epoch, batches in enumerate(self._minibatches.epochs(rows, settings.n_epochs)):
            for place, batch in enumerate(batches):
                last = epoch == settings.n_epochs - 1 and place == self._minibatches.count - 1
                loss, log_ratio = self._loss(batch, seen, active)
                if settings.target_kl is not None:
                    near = mean(divergence(log_ratio)) <= 1.5 * settings.target_kl
                    active = near if active is None else active & near
                    # A run alone closes its rollout with a step that it does not take. In a batch the steps go on:
                    # whether all have stopped depends on the neighbours.
                    last = last or (len(active) == 1 and not active.item())
                if last:
                    # what a rollout draws does not depend on how soon it was left: a batch goes on to the end
                    self._minibatches.skip(settings.n_epochs - 1 - epoch)
                yield GradientStep(
                    loss,
                    reward,
                    self._steps,
                    active=active,
                    max_grad_norm=settings.max_grad_norm,
                    is_last_of_rollout=last,
                    metrics=seen.metrics() if last else {},
                )
                if last:
                    return

    def _loss(self, batch: Batch, seen: _Seen, active: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return each run's loss, and the log of the ratios ``(runs, rows)``."""
        settings, choice = self._settings, self.network.distribution
        outputs, value = self.network(batch.observation)
        log_ratio = choice.log_prob(outputs, batch.action) - batch.log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
        policy_loss = -mean(torch.minimum(ratio * batch.advantage, clipped * batch.advantage))
        if settings.clip_range_vf is not None:
            moved = (value - batch.value).clamp(-settings.clip_range_vf, settings.clip_range_vf)
            value = batch.value + moved
        value_loss = mean((batch.returns - value).square())
        seen.add(active, policy_loss, value_loss, log_ratio, outputs)
        loss = policy_loss + settings.vf_coef * value_loss
        if settings.ent_coef:
            loss = loss - settings.ent_coef * mean(choice.entropy(outputs))
        return loss, log_ratio.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return the weights, and how far the streams have been drawn; between two rollouts nothing else moves."""
        return {**super().state_dict(), "minibatches": self._minibatches.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of an agent with the same settings and seeds."""
        super().load_state_dict(state)
        self._minibatches.load_state_dict(state["minibatches"])
