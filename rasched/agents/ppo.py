"""Proximal policy optimisation: several epochs of minibatches per rollout, with a clipped loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor

from rasched.agents.base import AGENTS, GradientStep, VectorEnv
from rasched.agents.distributions import Distribution
from rasched.agents.minibatches import Batch, Minibatches
from rasched.agents.on_policy import OnPolicyAgent, OnPolicySettings, explained_variance, mean_over_rows
from rasched.validation import SettingError


@AGENTS.register("ppo")
@dataclass(frozen=True, kw_only=True)
class PPOSettings(OnPolicySettings):
    r"""The settings of PPO with the clipped surrogate (Schulman et al., 2017).

    With the ratio :math:`r` of an action's probability to what it was when the action was taken, the loss is the mean
    over a minibatch of

        - min(r A, clip(r, 1 - clip_range, 1 + clip_range) A)  +  vf_coef (G - V(s))^2  -  ent_coef H(pi(. | s))

    Each run shuffles its own rows and standardises its own advantages, minibatch by minibatch. ``clip_range_vf`` limits
    the change of a value. A run whose estimated KL divergence (Schulman's ``r - 1 - log r``) exceeds 1.5 times
    ``target_kl`` takes no further step on the rollout. The defaults are those of Stable-Baselines3.
    """

    n_steps: Annotated[int, Interval(ge=1)] = 2048
    batch_size: Annotated[int, Interval(ge=1)] = 64  # rows per run; the last minibatch of an epoch may be smaller
    n_epochs: Annotated[int, Interval(ge=1)] = 10
    clip_range: Annotated[float, Interval(gt=0)] = 0.2
    clip_range_vf: Annotated[float, Interval(gt=0)] | None = None
    target_kl: Annotated[float, Interval(gt=0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalize_advantage and self.batch_size < 2:
            problem = "must be a whole number of at least 2 with normalize_advantage=true"
            raise SettingError("batch_size", problem, self.batch_size, subject="agent.batch_size")

    def make(self, env: VectorEnv, seeds: Sequence[int]) -> PPO:
        """Return the agents of ``len(seeds)`` runs; ValueError if there is nothing to observe."""
        return PPO(self, env, seeds)


class _RolloutMetrics:
    """The metrics of each run that had not stopped, computed once at the end of a rollout from its minibatches."""

    def __init__(self, distribution: Distribution, clip_range: float, num_minibatches: int) -> None:
        self._distribution, self._clip_range = distribution, clip_range
        self._num_minibatches = num_minibatches
        self._policy_loss: list[Tensor] = []
        self._value_loss: list[Tensor] = []
        self._log_ratio: list[Tensor] = []
        self._outputs: list[Tensor] = []
        self._some_stopped = False

    def add(
        self, active: Tensor | None, policy_loss: Tensor, value_loss: Tensor, log_ratio: Tensor, outputs: Tensor
    ) -> None:
        """Add a minibatch, for the runs that were active in it (None: all)."""
        self._policy_loss.append(_nan_unless(active, policy_loss.detach()))
        self._value_loss.append(_nan_unless(active, value_loss.detach()))
        self._log_ratio.append(_nan_unless(active, log_ratio.detach()))
        self._outputs.append(outputs.detach())
        self._some_stopped = self._some_stopped or active is not None

    def compute(self) -> dict[str, Tensor]:
        """Return means over all epochs; that of ``approx_kl`` is over the last epoch in which a run was active."""
        log_ratio = torch.cat(self._log_ratio, 1)
        was_active = ~log_ratio.isnan()
        entropy = self._distribution.entropy(torch.cat(self._outputs, 1)).detach()
        is_clipped = ((log_ratio.exp() - 1).abs() > self._clip_range).to(entropy.dtype)
        return {
            "policy_gradient_loss": torch.stack(self._policy_loss, 1).nanmean(1),
            "value_loss": torch.stack(self._value_loss, 1).nanmean(1),
            "entropy_loss": -torch.where(was_active, entropy, torch.nan).nanmean(1),
            "clip_fraction": torch.where(was_active, is_clipped, torch.nan).nanmean(1),
            "approx_kl": self._approx_kl(),
        }

    def _approx_kl(self) -> Tensor:
        first = (len(self._log_ratio) - 1) // self._num_minibatches * self._num_minibatches  # of the last epoch
        kl = divergence(torch.cat(self._log_ratio[first:], 1)).nanmean(1)
        while self._some_stopped and first and kl.isnan().any():
            first, last = first - self._num_minibatches, first
            previous = divergence(torch.cat(self._log_ratio[first:last], 1)).nanmean(1)
            kl = torch.where(kl.isnan(), previous, kl)
        return kl


def divergence(log_ratio: Tensor) -> Tensor:
    """Return an estimate of the KL divergence from each row, unbiased and never negative (Schulman, 2020)."""
    return log_ratio.exp() - 1 - log_ratio


def _nan_unless(active: Tensor | None, value: Tensor) -> Tensor:
    return value if active is None else torch.where(active.view(-1, *[1] * (value.dim() - 1)), value, torch.nan)


class PPO(OnPolicyAgent):
    """Epochs of minibatches over each rollout."""

    def __init__(self, settings: PPOSettings, env: VectorEnv, seeds: Sequence[int]) -> None:
        super().__init__(settings, env, seeds)
        self._settings = settings
        self._minibatches = Minibatches(seeds, self._rollout_size, settings.batch_size, settings.normalize_advantage)

    def gradient_steps(self, env: VectorEnv) -> Iterator[GradientStep]:
        """Collect a rollout, and yield the loss of one minibatch after another."""
        settings, network = self._settings, self.network
        while True:
            rollout = self._collector.collect(env)
            self._env_steps += self._rollout_size
            reward, rows = rollout.mean_reward(), slice(self._rollout_size)
            with torch.no_grad():
                outputs, value = network(rollout.observation)
                log_prob = network.distribution.log_prob(outputs[:, rows], rollout.action)
            advantage, returns = rollout.advantages(value, network, settings.gamma, settings.gae_lambda)
            batch = Batch(rollout.observation[:, rows], rollout.action, log_prob, advantage, returns, value[:, rows])
            make_signals = self._signals_of_rollout(batch.observation, outputs[:, rows])
            for step in self._epochs(batch, reward):
                step.signals = make_signals()
                if step.is_last_of_rollout:
                    step.metrics |= rollout.metrics
                    step.metrics["explained_variance"] = explained_variance(value[:, rows], returns)
                yield step

    def _epochs(self, rollout: Batch, reward: Tensor) -> Iterator[GradientStep]:
        settings = self._settings
        metrics = _RolloutMetrics(self.network.distribution, settings.clip_range, self._minibatches.count)
        active: Tensor | None = None
        for epoch, batches in enumerate(self._minibatches.epochs(rollout, settings.n_epochs)):
            for index, batch in enumerate(batches):
                is_last = epoch == settings.n_epochs - 1 and index == self._minibatches.count - 1
                loss, log_ratio = self._loss(batch, metrics, active)
                if settings.target_kl is not None:
                    is_near = mean_over_rows(divergence(log_ratio)) <= 1.5 * settings.target_kl
                    active = is_near if active is None else active & is_near
                    # A run alone ends its rollout with a step that it does not take. A batch continues, because
                    # whether all runs have stopped depends on the neighbours.
                    is_last = is_last or (len(active) == 1 and not active.item())
                if is_last:
                    # the random numbers of a rollout must not depend on when it stops, because a batch never does
                    self._minibatches.skip(settings.n_epochs - 1 - epoch)
                yield GradientStep(
                    loss,
                    reward,
                    self._env_steps,
                    active=active,
                    max_grad_norm=settings.max_grad_norm,
                    is_last_of_rollout=is_last,
                    metrics=metrics.compute() if is_last else {},
                )
                if is_last:
                    return

    def _loss(self, batch: Batch, metrics: _RolloutMetrics, active: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return each run's loss, and the log of the ratios ``(num_runs, num_rows)``."""
        settings, distribution = self._settings, self.network.distribution
        outputs, value = self.network(batch.observation)
        log_ratio = distribution.log_prob(outputs, batch.action) - batch.log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
        policy_loss = -mean_over_rows(torch.minimum(ratio * batch.advantage, clipped * batch.advantage))
        if settings.clip_range_vf is not None:
            change = (value - batch.value).clamp(-settings.clip_range_vf, settings.clip_range_vf)
            value = batch.value + change
        value_loss = mean_over_rows((batch.returns - value).square())
        metrics.add(active, policy_loss, value_loss, log_ratio, outputs)
        loss = policy_loss + settings.vf_coef * value_loss
        if settings.ent_coef:
            loss = loss - settings.ent_coef * mean_over_rows(distribution.entropy(outputs))
        return loss, log_ratio.detach()

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the positions of the random streams; between rollouts nothing else changes."""
        return {**super().state_dict(), "minibatches": self._minibatches.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an agent with the same settings and seeds."""
        super().load_state_dict(state)
        self._minibatches.load_state_dict(state["minibatches"])
