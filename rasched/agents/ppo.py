"""Proximal policy optimisation: several epochs of minibatches per rollout, with a clipped loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from rasched.agents.actor_critic import LossGradient
from rasched.agents.base import AGENTS, GradientStep, VectorEnv
from rasched.agents.distributions import Distribution
from rasched.agents.minibatches import Batch, Minibatches
from rasched.agents.mlp import Array
from rasched.agents.on_policy import OnPolicyAgent, OnPolicySettings, explained_variance, mean_over_rows
from rasched.agents.rollout import AdvantageEstimator
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


class _MinibatchLosses:
    """The means of a minibatch, ``(num_runs,)`` each."""

    def __init__(self, num_runs: int, dtype: Any) -> None:
        self.policy_loss, self.value_loss, self.entropy = np.empty((3, num_runs), dtype)
        self.is_clipped, self.approx_kl = np.empty((2, num_runs), dtype)

    def total(self, settings: PPOSettings) -> Array:
        """Return the loss of each run."""
        loss: Array = self.policy_loss + settings.vf_coef * self.value_loss - settings.ent_coef * self.entropy
        return loss


class _RolloutMetrics:
    """The metrics of a rollout: means over the rows of the minibatches in which a run was active."""

    def __init__(self, num_minibatches: int) -> None:
        self._num_minibatches = num_minibatches  # per epoch
        self._losses: list[_MinibatchLosses] = []
        self._weights: list[Array] = []  # (num_runs,) or (1,): the number of rows, 0 if the run was not active

    def add(self, losses: _MinibatchLosses, num_rows: int, is_active: Array | None) -> None:
        """Add a minibatch, for the runs that were active in it (None: all)."""
        self._losses.append(losses)
        self._weights.append(np.array([num_rows]) if is_active is None else num_rows * is_active)

    @np.errstate(all="ignore")
    def compute(self) -> dict[str, Tensor]:
        """Return means over all epochs; that of ``approx_kl`` is over the last epoch in which a run was active."""
        weights = np.stack(np.broadcast_arrays(*self._weights))

        def mean(name: str, first: int = 0, end: int | None = None) -> Array:
            values, w = np.stack([getattr(losses, name) for losses in self._losses[first:end]]), weights[first:end]
            averages: Array = (np.where(w > 0, values, 0) * w).sum(0) / w.sum(0)
            return averages.astype(values.dtype)

        first = (len(self._losses) - 1) // self._num_minibatches * self._num_minibatches
        approx_kl = mean("approx_kl", first)
        while first and np.isnan(approx_kl).any():
            first, end = first - self._num_minibatches, first
            approx_kl = np.where(np.isnan(approx_kl), mean("approx_kl", first, end), approx_kl)
        metrics = {
            "policy_gradient_loss": mean("policy_loss"),
            "value_loss": mean("value_loss"),
            "entropy_loss": -mean("entropy"),
            "clip_fraction": mean("is_clipped"),
            "approx_kl": approx_kl,
        }
        return {name: torch.from_numpy(values) for name, values in metrics.items()}


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
            reward = rollout.mean_reward()
            outputs, value = network(rollout.inputs)
            old_policy = network.head.distribution(outputs)
            estimator = AdvantageEstimator(rollout, network, settings.gamma, settings.gae_lambda)
            advantage, returns = estimator.estimate(value)
            batch = Batch(
                rollout.inputs, rollout.action, old_policy.log_prob(rollout.action), advantage, returns, value
            )
            make_signals = self._signals_of_rollout(rollout.inputs, [(slice(None), old_policy)])
            for step in self._epochs(batch, reward):
                step.signals = make_signals()
                if step.is_last_of_rollout:
                    step.metrics |= rollout.metrics
                    step.metrics["explained_variance"] = explained_variance(value, returns)
                yield step

    def _epochs(self, rollout: Batch, reward: Tensor) -> Iterator[GradientStep]:
        settings = self._settings
        metrics = _RolloutMetrics(self._minibatches.count)
        is_active: Array | None = None
        for epoch, batches in enumerate(self._minibatches.epochs(rollout, settings.n_epochs)):
            for index, batch in enumerate(batches):
                is_last = epoch == settings.n_epochs - 1 and index == self._minibatches.count - 1
                losses, gradients = self._losses(batch)
                metrics.add(losses, batch.advantage.shape[1], is_active)
                if settings.target_kl is not None:
                    is_near = losses.approx_kl <= 1.5 * settings.target_kl
                    is_active = is_near if is_active is None else is_active & is_near
                    # A run alone ends its rollout with a step that it does not take. A batch continues, because
                    # whether all runs have stopped depends on the neighbours.
                    is_last = is_last or (len(is_active) == 1 and not is_active.item())
                if is_last:
                    # the random numbers of a rollout must not depend on when it stops, because a batch never does
                    self._minibatches.skip(settings.n_epochs - 1 - epoch)
                yield GradientStep(
                    torch.from_numpy(losses.total(settings)),
                    reward,
                    self._env_steps,
                    active=None if is_active is None else torch.from_numpy(is_active),
                    max_grad_norm=settings.max_grad_norm,
                    is_last_of_rollout=is_last,
                    metrics=metrics.compute() if is_last else {},
                    gradients=gradients,
                )
                if is_last:
                    return

    def _losses(self, batch: Batch) -> tuple[_MinibatchLosses, list[Tensor]]:
        """Return the losses of a minibatch, and the gradient of each parameter."""
        settings, clip_range = self._settings, self._settings.clip_range
        num_runs, num_rows = batch.advantage.shape
        losses = _MinibatchLosses(num_runs, batch.inputs.dtype)

        def loss(policy: Distribution, value: Array, runs: slice) -> LossGradient:
            action, advantage = batch.action[runs], batch.advantage[runs]
            log_ratio = policy.log_prob(action) - batch.log_prob[runs]
            ratio = np.exp(log_ratio)
            unclipped = ratio * advantage
            surrogate = np.minimum(unclipped, np.clip(ratio, 1 - clip_range, 1 + clip_range) * advantage)
            error, value_gradient = self._value_error(value, batch.value[runs], batch.returns[runs])
            losses.policy_loss[runs] = -mean_over_rows(surrogate)
            losses.value_loss[runs] = mean_over_rows(error * error)
            losses.entropy[runs] = mean_over_rows(policy.entropy())
            losses.is_clipped[runs] = mean_over_rows(np.abs(ratio - 1) > clip_range)
            # Schulman's estimate of the KL divergence, unbiased and never negative (2020)
            losses.approx_kl[runs] = mean_over_rows(ratio - 1 - log_ratio)
            return LossGradient(
                action,
                log_prob=np.where(unclipped <= surrogate, unclipped, 0) / -num_rows,  # d ratio / d log_prob = ratio
                entropy=-settings.ent_coef / num_rows,
                value=value_gradient * (settings.vf_coef / num_rows),
            )

        gradients = self.network.backward(batch.inputs, loss)
        return losses, gradients

    def _value_error(self, value: Array, old_value: Array, returns: Array) -> tuple[Array, Array]:
        """Return the error of each value, clipped or not, and the gradient of its square."""
        if self._settings.clip_range_vf is None:
            error = value - returns
            return error, 2 * error
        change = value - old_value
        clipped = np.clip(change, -self._settings.clip_range_vf, self._settings.clip_range_vf)
        error = old_value + clipped - returns
        return error, np.where(change == clipped, 2 * error, 0)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights and the positions of the random streams; between rollouts nothing else changes."""
        return {**super().state_dict(), "minibatches": self._minibatches.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of an agent with the same settings and seeds."""
        super().load_state_dict(state)
        self._minibatches.load_state_dict(state["minibatches"])
