"""The two forms of a step: torch's own optimizer with our scheduler on it, and many runs through one optimizer.

One run is exactly what a user writes. Many go through one optimizer of the same class at rate 1: where an update is
linear in the rate and elementwise, scaling each run's change by its own rate is the same step to the last bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce
from math import isfinite, nan
from typing import Any

import torch
from torch import Tensor

from rasched import stacking
from rasched.agents import GradientStep
from rasched.rules.batch import RuleBatch
from rasched.scheduler import RewardAdaptiveScheduler
from rasched.scheduler.bounds import clip, lr_bounds
from rasched.scheduler.param_groups import read_momentum
from rasched.train.optimizers import unwrapped_step
from rasched.train.settings import RunSettings

# ASGD, Rprop and Adafactor are not linear in the rate; Muon's update is linear, but of a whole matrix.
BATCHABLE_OPTIMIZERS = ("sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta")


class Learner(ABC):
    """Steps the parameters of a batch of runs, and lets each run's reward move its rate.

    ``failures`` names the runs that ended early, by their place in the batch, and why. A failed run's numbers go on
    being computed, since it shares nothing with its neighbours, but mean nothing.
    """

    failures: dict[int, str]

    @abstractmethod
    def current_lrs(self) -> dict[str, Tensor | float]:
        """Return columns of what the next optimizer step uses: ``train/lr``, and ``train/momentum`` where it moves."""

    @abstractmethod
    def step(self, update: GradientStep) -> Tensor | float:
        """Take one optimizer step and return the loss, NaN in runs that do not take it.

        A loss that is not finite fails its run.
        """

    @abstractmethod
    def observe_reward(self, reward: Tensor, has_reward: Tensor | None) -> Tensor | float:
        """Let the rewards, shape ``(runs,)``, of the runs in ``heard`` (None: all) move their rates; return the signal.

        Called once for each step to be heard of, also where no run has a reward: rules may count steps without one. NaN
        stands for no signal. A reward that is not finite fails its run, unless it is to be skipped.
        """


class SingleRunLearner(Learner):
    """The middle of a plain torch loop."""

    def __init__(self, settings: RunSettings, parameters: list[Tensor]) -> None:
        self.failures = {}
        self._parameters = parameters
        self.optimizer = settings.optimizer.make(parameters)
        self._step = unwrapped_step(self.optimizer)
        self.scheduler = RewardAdaptiveScheduler(
            self.optimizer,
            settings.rule,
            **settings.signal.of_scheduler(),
            **stacking.settings_of(settings.scheduler),
        )
        self.scheduler.apply()  # a rule may start elsewhere than at the base rate
        self._adapts_momentum = settings.scheduler.adapt_momentum

    def current_lrs(self) -> dict[str, Tensor | float]:
        """Return the group's rate, and its momentum where that is adapted."""
        columns: dict[str, Tensor | float] = {"train/lr": self.scheduler.get_lr()[0]}
        if self._adapts_momentum:
            columns["train/momentum"] = read_momentum(self.optimizer.param_groups[0])
        return columns

    def step(self, update: GradientStep) -> float:
        """Go one step; a loss that is not finite fails the run."""
        if update.active is not None and not update.active.item():
            return nan
        loss = update.loss.item()
        if not isfinite(loss):
            self.failures.setdefault(0, f"the loss became {loss}")
            return loss
        update.loss.sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        with torch.no_grad():
            if update.max_grad_norm is not None:
                clip_grad_norm_per_run(self._parameters, update.max_grad_norm)
            self._step()
        clear_gradients(self._parameters)
        return loss

    def observe_reward(self, reward: Tensor, has_reward: Tensor | None) -> float:
        """Tell the scheduler."""
        if self.failures:
            return nan
        told = reward.item() if has_reward is None or has_reward.item() else None
        try:
            self.scheduler.observe(R=told)
        except ValueError as error:
            self.failures[0] = str(error)
        signal = self.scheduler.last_signal if told is not None else None
        return nan if signal is None else signal

    def state_dict(self) -> dict[str, Any]:
        """Return what moves, beside the parameters."""
        return {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, from the state of a learner with the same settings."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


class BatchedLearner(Learner):
    """Many runs through one optimizer; tensors are float64 of shape ``(runs,)``."""

    def __init__(self, runs: Sequence[RunSettings], parameters: list[Tensor]) -> None:
        self.failures = {}
        self._parameters = parameters
        self._optimizer = runs[0].optimizer.make(parameters, lr=1.0)
        self._step = unwrapped_step(self._optimizer)
        self._skip_nonfinite = runs[0].signal.on_nonfinite == "skip"
        self._signal = stacking.stack([run.signal.make() for run in runs])
        self._rules = RuleBatch([run.rule for run in runs])
        limits = [lr_bounds([r.optimizer.lr], r.scheduler.min_lr, r.scheduler.max_lr) for r in runs]
        self._low = torch.tensor([low for (low,), _ in limits], dtype=torch.float64)
        self._high = torch.tensor([high for _, (high,) in limits], dtype=torch.float64)
        self._base = torch.tensor([run.optimizer.lr for run in runs], dtype=torch.float64)
        self._lr = self._clip(self._rules.initial_lr(self._base))

    def current_lrs(self) -> dict[str, Tensor | float]:
        """Return each run's rate."""
        return {"train/lr": self._lr}

    def step(self, update: GradientStep) -> Tensor:
        """Go one step in every run that takes it."""
        loss = update.loss.detach()
        total = update.loss.sum()
        if not isfinite(total.item()):
            broken = ~loss.isfinite()
            self._fail(broken if update.active is None else broken & update.active, "the loss became {}", loss)
        if update.active is not None:
            loss = torch.where(update.active, loss, nan)
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
        with torch.no_grad():
            if update.max_grad_norm is not None:
                clip_grad_norm_per_run(self._parameters, update.max_grad_norm)
            self._move(update.active)
        clear_gradients(self._parameters)
        return loss

    def _move(self, active: Tensor | None) -> None:
        before = [p.clone() for p in self._parameters]
        moments = None if active is None else self._moments()
        self._step()
        for parameter, old in zip(self._parameters, before, strict=True):
            lr = self._lr.to(parameter.dtype).view(-1, *[1] * (parameter.dim() - 1))
            # three roundings apart: a fused one would differ at the ragged end of a batch
            parameter.sub_(old).mul_(lr).add_(old)
        if active is not None and moments is not None:
            self._freeze(~active, before, moments)

    def _freeze(self, frozen: Tensor, before: list[Tensor], moments: list[dict[str, Tensor]]) -> None:
        """Put back the parameters and moments of runs that do not take this step.

        The optimizer counts its steps once for all (`step`, NAdam's `mu_product`), the frozen run's among them. So its
        bias correction is further on than that of a run alone: by 3e-4 of the update for each step left out at the
        thousandth step of Adam with its usual betas, by less than the rounding of a float32 after the ten thousandth.
        """
        for parameter, old, saved in zip(self._parameters, before, moments, strict=True):
            parameter[frozen] = old[frozen]
            for name, moved in self._moments_of(parameter).items():
                # a moment that the first step made was nothing before
                moved[frozen] = saved[name][frozen] if name in saved else 0.0

    def _moments(self) -> list[dict[str, Tensor]]:
        return [{name: v.clone() for name, v in self._moments_of(p).items()} for p in self._parameters]

    def _moments_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self._optimizer.state[parameter]
        return {name: v for name, v in state.items() if isinstance(v, Tensor) and v.shape == parameter.shape}

    def observe_reward(self, reward: Tensor, has_reward: Tensor | None) -> Tensor:
        """Let each run's own reward move its own rate."""
        reward = reward.double()
        if not isfinite(reward.sum().item()):
            finite = reward.isfinite()
            broken = ~finite if has_reward is None else ~finite & has_reward  # what nobody hears may be anything
            has_reward = finite if has_reward is None else has_reward & finite
            if not self._skip_nonfinite:
                self._fail(broken, "reward {} is not finite", reward)
        before = None if has_reward is None else stacking.snapshot(self._signal)
        signal = self._signal.observe(reward)
        assert isinstance(signal, Tensor)
        if has_reward is not None and before is not None:
            stacking.restore_where_not(self._signal, has_reward, before)
        moved = self._rules.observe(signal, has_reward)
        lr = self._clip(self._rules.next_lr(self._lr, self._base))
        self._lr = lr if moved is None else torch.where(moved, lr, self._lr)
        return signal if has_reward is None else torch.where(has_reward, signal, nan)

    def _clip(self, lr: Tensor) -> Tensor:
        clipped = clip(lr, self._low, self._high)
        assert isinstance(clipped, Tensor)
        return clipped

    def _fail(self, where: Tensor, why: str, values: Tensor) -> None:
        if where.any():
            for run in where.nonzero().flatten().tolist():
                self.failures.setdefault(run, why.format(values[run].item()))


def clip_grad_norm_per_run(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scale each run's gradients to a common norm of at most ``max_norm``, as ``clip_grad_norm_`` does for one run."""
    gradients = [p.grad.view(len(p), -1) for p in parameters if p.grad is not None]
    norms = (torch.linalg.vector_norm(gradient, dim=1, keepdim=True) for gradient in gradients)
    factor = (max_norm / (reduce(torch.hypot, norms) + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)


def clear_gradients(parameters: Sequence[Tensor]) -> None:
    """Do what ``zero_grad`` does, which takes longer over its profiling."""
    for parameter in parameters:
        parameter.grad = None
