"""Take optimizer steps: torch's own optimizer with our scheduler, or many runs through one optimizer.

A single run is exactly what a user writes. A batch goes through one optimizer of the same class with a learning rate
of 1: if an update is elementwise and linear in the learning rate, scaling each run's change by its own learning rate is
the same step to the last bits.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from math import isfinite, nan
from typing import Any

import torch
from torch import Tensor

from rasched import stacking
from rasched.agents import GradientStep
from rasched.rng import stream_start
from rasched.rules.batch import RuleBatch
from rasched.scheduler import RewardAdaptiveScheduler
from rasched.scheduler.bounds import clip, lr_bounds
from rasched.scheduler.param_groups import read_momentum
from rasched.train.optimizers import unwrapped_step
from rasched.train.settings import RunSettings

# ASGD, Rprop and Adafactor are not linear in the learning rate; Muon's update is linear, but of a whole matrix.
BATCHABLE_OPTIMIZERS = ("sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta")


class Learner(ABC):
    """Steps the parameters of a batch of runs, and lets each run's reward change its learning rate.

    ``failures`` has the error of each run that failed, by its slot in the batch. The numbers of a failed run are still
    computed, since it shares nothing with its neighbours, but mean nothing.
    """

    failures: dict[int, str]

    @abstractmethod
    def current_lrs(self) -> dict[str, Tensor | float]:
        """Return columns of what the next gradient step uses: ``train/lr``, and ``train/momentum`` if it is adapted."""

    @abstractmethod
    def step(self, gradient_step: GradientStep) -> Tensor | float:
        """Take one optimizer step and return the loss, NaN in runs that do not take it.

        A loss that is not finite fails its run.
        """

    @abstractmethod
    def observe_reward(
        self, reward: Tensor, has_reward: Tensor | None, signals: Mapping[str, Tensor], progress: float
    ) -> Tensor | float:
        """Let the rewards ``(num_runs,)`` of the runs in ``has_reward`` (None: all) change their learning rates.

        ``signals`` are further ones for the rules, ``(num_runs,)`` each. ``progress`` is the share of the environment
        steps that is done, in (0, 1]. Called once per optimizer step, even if no run has a reward, because a rule may
        count such steps. Returns the signal, NaN if there is none. A reward that is not finite fails its run, unless it
        is to be skipped.
        """

    @contextmanager
    def evaluation_parameters(self) -> Iterator[None]:
        """Give the agent the parameters to evaluate inside the block; some optimizers train others."""
        yield

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what changes during training, except the parameters."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a learner with the same settings."""


class SingleRunLearner(Learner):
    """The middle of a plain torch loop."""

    def __init__(self, settings: RunSettings, parameters: list[Tensor]) -> None:
        self.failures = {}
        self._parameters = parameters
        self.optimizer = settings.optimizer.make(parameters)
        self._optimizer_step = unwrapped_step(self.optimizer)
        # Schedule-Free trains at other parameters than those that it returns, which are an average.
        self._modes = [getattr(self.optimizer, mode, None) for mode in ("eval", "train")]
        if self._modes[1] is not None:
            self._modes[1]()
        rule = copy.copy(settings.rule)
        rule.set_context(run_start=stream_start(settings.seed, "rule"))
        self.scheduler = RewardAdaptiveScheduler(
            self.optimizer,
            rule,
            **settings.signal.scheduler_kwargs(),
            **stacking.settings_of(settings.scheduler),
            horizon=settings.steps,
        )
        self._num_calls = 0
        self.scheduler.apply()  # a rule may start elsewhere than at the base learning rate
        self._adapts_momentum = settings.scheduler.adapt_momentum

    def current_lrs(self) -> dict[str, Tensor | float]:
        """Return the learning rate, and the momentum if it is adapted."""
        columns: dict[str, Tensor | float] = {"train/lr": self.scheduler.get_lr()[0]}
        if self._adapts_momentum:
            columns["train/momentum"] = read_momentum(self.optimizer.param_groups[0])
        return columns

    def step(self, gradient_step: GradientStep) -> float:
        """Take one optimizer step; a loss that is not finite fails the run."""
        if gradient_step.active is not None and not gradient_step.active.item():
            return nan
        loss = gradient_step.loss.item()
        if not isfinite(loss):
            self.failures.setdefault(0, f"the loss became {loss}")
            return loss
        gradient_step.backward(self._parameters)
        with torch.no_grad():
            if gradient_step.max_grad_norm is not None:
                clip_grad_norm_per_run(self._parameters, gradient_step.max_grad_norm)
            self._optimizer_step()
        clear_gradients(self._parameters)
        return loss

    def observe_reward(
        self, reward: Tensor, has_reward: Tensor | None, signals: Mapping[str, Tensor], progress: float
    ) -> float:
        """Pass the reward and the signals that the rule needs to the scheduler."""
        if self.failures:
            return nan
        observed = reward.item() if has_reward is None or has_reward.item() else None
        rule = self.scheduler.rule
        extra = {name: signals[name].item() if name in signals else nan for name in rule.extra_signals}
        num_skipped = self.scheduler.num_skipped
        rule.set_context(horizon=(self._num_calls + 1) / progress)
        try:
            self.scheduler.observe(R=observed, **extra)
        except ValueError as error:
            self.failures[0] = str(error)
        if self.scheduler.num_skipped > num_skipped:
            return nan
        self._num_calls += 1
        signal = self.scheduler.last_signal if observed is not None else None
        return nan if signal is None else signal

    @contextmanager
    def evaluation_parameters(self) -> Iterator[None]:
        """Set the parameters of the optimizer's mode ``eval`` inside the block, then the former ones, bit for bit."""
        set_eval, set_train = self._modes
        if set_eval is None or set_train is None:
            yield
            return
        before = [parameter.detach().clone() for parameter in self._parameters]
        set_eval()
        try:
            yield
        finally:
            set_train()
            with torch.no_grad():
                for parameter, value in zip(self._parameters, before, strict=True):
                    parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return the states of optimizer and scheduler."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "num_calls": self._num_calls,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a learner with the same settings."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self._num_calls = state["num_calls"]


class BatchedLearner(Learner):
    """Many runs through one optimizer; tensors are float64 of shape ``(num_runs,)``."""

    def __init__(self, runs: Sequence[RunSettings], parameters: list[Tensor]) -> None:
        self.failures = {}
        self._parameters = parameters
        self._optimizer = runs[0].optimizer.make(parameters, lr=1.0)
        self._optimizer_step = unwrapped_step(self._optimizer)
        self._skip_nonfinite = runs[0].signal.on_nonfinite == "skip"
        self._signal = stacking.stack([run.signal.make() for run in runs])
        bounds = [lr_bounds([run.optimizer.lr], run.scheduler.min_lr, run.scheduler.max_lr) for run in runs]
        self._min_lr = torch.tensor([low for (low,), _ in bounds], dtype=torch.float64)
        self._max_lr = torch.tensor([high for _, (high,) in bounds], dtype=torch.float64)
        rules = [copy.copy(run.rule) for run in runs]
        for rule, run, ((low,), (high,)) in zip(rules, runs, bounds, strict=True):
            base_lr = run.optimizer.lr
            rule.set_context(min_factor=low / base_lr, max_factor=high / base_lr, horizon=float(run.steps))
            rule.set_context(run_start=stream_start(run.seed, "rule"))
        self._rules = RuleBatch(rules)
        self._extra_signals = {name for rule in rules for name in rule.extra_signals}
        self._num_calls: int | Tensor = 0  # a tensor (num_runs,) as soon as a run has skipped a reward
        self._base_lr = torch.tensor([run.optimizer.lr for run in runs], dtype=torch.float64)
        self._lr = self._clip(self._rules.initial_lr(self._base_lr))

    def current_lrs(self) -> dict[str, Tensor | float]:
        """Return each run's learning rate."""
        return {"train/lr": self._lr}

    def step(self, gradient_step: GradientStep) -> Tensor:
        """Take one optimizer step in every run that is active."""
        loss, active = gradient_step.loss.detach(), gradient_step.active
        if not isfinite(loss.sum().item()):
            is_nonfinite = ~loss.isfinite()
            self._fail(is_nonfinite if active is None else is_nonfinite & active, "the loss became {}", loss)
        if active is not None:
            loss = torch.where(active, loss, nan)
        gradient_step.backward(self._parameters)
        with torch.no_grad():
            if gradient_step.max_grad_norm is not None:
                clip_grad_norm_per_run(self._parameters, gradient_step.max_grad_norm)
            self._step_scaled(active)
        clear_gradients(self._parameters)
        return loss

    def _step_scaled(self, active: Tensor | None) -> None:
        """Step with a learning rate of 1, then scale each run's change by its own."""
        before = [p.clone() for p in self._parameters]
        moments = None if active is None else self._copy_moments()
        self._optimizer_step()
        for parameter, old in zip(self._parameters, before, strict=True):
            lr = self._lr.to(parameter.dtype).view(-1, *[1] * (parameter.dim() - 1))
            # three separate roundings: a fused one would differ at the ragged end of a batch
            parameter.sub_(old).mul_(lr).add_(old)
        if active is not None and moments is not None:
            self._restore(~active, before, moments)

    def _restore(self, inactive: Tensor, before: list[Tensor], moments: list[dict[str, Tensor]]) -> None:
        """Restore the parameters and moments of runs that do not take this step.

        The optimizer has one step counter for the batch (`step`, NAdam's `mu_product`), which also counts the steps
        that a run left out. Its bias correction is then further on than that of a run alone: by 3e-4 of the update for
        each step left out at the thousandth step of Adam with its usual betas, and by less than the rounding of a
        float32 after the ten thousandth.
        """
        for parameter, old, saved in zip(self._parameters, before, moments, strict=True):
            parameter[inactive] = old[inactive]
            for name, moment in self._moments_of(parameter).items():
                # a moment that this step created was 0 before
                moment[inactive] = saved[name][inactive] if name in saved else 0.0

    def _copy_moments(self) -> list[dict[str, Tensor]]:
        return [{name: v.clone() for name, v in self._moments_of(p).items()} for p in self._parameters]

    def _moments_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self._optimizer.state[parameter]
        return {name: v for name, v in state.items() if isinstance(v, Tensor) and v.shape == parameter.shape}

    def observe_reward(
        self, reward: Tensor, has_reward: Tensor | None, signals: Mapping[str, Tensor], progress: float
    ) -> Tensor:
        """Let each run's own reward change its own learning rate."""
        reward = reward.double()
        is_skipped = None
        if not isfinite(reward.sum().item()):
            is_finite = reward.isfinite()
            is_bad = ~is_finite if has_reward is None else ~is_finite & has_reward  # an unobserved one may be anything
            has_reward = is_finite if has_reward is None else has_reward & is_finite
            if self._skip_nonfinite:
                is_skipped = is_bad
            else:
                self._fail(is_bad, "reward {} is not finite", reward)
        before = None if has_reward is None else stacking.snapshot(self._signal)
        signal = self._signal.observe(reward)
        assert isinstance(signal, Tensor)
        if has_reward is not None and before is not None:
            stacking.restore_where_not(self._signal, has_reward, before)
        self._rules.set_context(horizon=(self._num_calls + 1) / progress)
        extra_signals = {name: signals[name].double() for name in self._extra_signals if name in signals}
        has_moved = self._rules.observe(signal, has_reward, extra_signals, is_skipped)
        self._num_calls = self._num_calls + (1 if is_skipped is None else (~is_skipped).double())
        lr = self._clip(self._rules.next_lr(self._lr, self._base_lr))
        self._lr = lr if has_moved is None else torch.where(has_moved, lr, self._lr)
        return signal if has_reward is None else torch.where(has_reward, signal, nan)

    def _clip(self, lr: Tensor) -> Tensor:
        clipped = clip(lr, self._min_lr, self._max_lr)
        assert isinstance(clipped, Tensor)
        return clipped

    def _fail(self, has_failed: Tensor, error: str, values: Tensor) -> None:
        for slot in has_failed.nonzero().flatten().tolist():
            self.failures.setdefault(slot, error.format(values[slot].item()))

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state, and the learning rates, signals and rules of all runs."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "lr": self._lr,
            "signal": stacking.state_dict(self._signal),
            "rules": self._rules.state_dict(),
            "num_calls": self._num_calls,
            "failures": dict(self.failures),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a learner of the same runs."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._lr = state["lr"]
        stacking.load_state_dict(self._signal, state["signal"])
        self._rules.load_state_dict(state["rules"])
        self._num_calls = state["num_calls"]
        self.failures = dict(state["failures"])


def clip_grad_norm_per_run(parameters: Sequence[Tensor], max_norm: float) -> None:
    """Scale each run's gradients to a common norm of at most ``max_norm``, as ``clip_grad_norm_`` does for one run."""
    gradients = [p.grad.view(len(p), -1) for p in parameters if p.grad is not None]
    norms = (torch.linalg.vector_norm(gradient, dim=1, keepdim=True) for gradient in gradients)
    factor = (max_norm / (reduce(torch.hypot, norms) + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)


def clear_gradients(parameters: Sequence[Tensor]) -> None:
    """Set all gradients to None, without the profiling of ``zero_grad``, which takes longer."""
    for parameter in parameters:
        parameter.grad = None
