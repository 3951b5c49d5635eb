"""The two forms of a step: torch's own optimizer with our scheduler on it, and many runs through one optimizer.

One run is exactly what a user writes. Many go through one optimizer of the same class at rate 1: where an update is
linear in the rate and elementwise, scaling each run's change by its own rate is the same step to the last bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import torch
from torch import Tensor

from rasched import groups, rates, stacking
from rasched.agents import Update
from rasched.rules.bank import Bank
from rasched.scheduler import RewardAdaptiveScheduler
from rasched.train.settings import RunSettings

# ASGD, Rprop and Adafactor are not linear in the rate; Muon's update is linear, but of a whole matrix.
STACKABLE = ("sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta")


class Learner(ABC):
    """Steps the parameters of a batch of runs, and lets each run's reward move its rate.

    ``failures`` names the runs that ended early, by their place in the batch, and why. A failed run's numbers go on
    being computed, since it shares nothing with its neighbours, but mean nothing.
    """

    failures: dict[int, str]

    @abstractmethod
    def rates_in_force(self) -> dict[str, Tensor | float]:
        """Return columns of what the next optimizer step uses: ``train/lr``, and ``train/momentum`` where it moves."""

    @abstractmethod
    def learn(self, update: Update) -> dict[str, Tensor | float]:
        """Take one optimizer step and hear its reward; return ``train/loss``, ``train/reward`` and ``train/signal``."""


class OneRun(Learner):
    """The middle of a plain torch loop."""

    def __init__(self, settings: RunSettings, parameters: list[Tensor]) -> None:
        self.failures = {}
        self.optimizer = settings.optimizer.make(parameters)
        self.scheduler = RewardAdaptiveScheduler(
            self.optimizer,
            settings.rule,
            **stacking.settings(settings.signal),
            **stacking.settings(settings.scheduler),
        )
        self.scheduler.apply()  # a rule may start elsewhere than at the base rate
        self._adapts_momentum = settings.scheduler.adapt_momentum

    def rates_in_force(self) -> dict[str, Tensor | float]:
        """Return the group's rate, and its momentum where that is adapted."""
        columns: dict[str, Tensor | float] = {"train/lr": self.scheduler.get_lr()[0]}
        if self._adapts_momentum:
            columns["train/momentum"] = groups.read_momentum(self.optimizer.param_groups[0])
        return columns

    def learn(self, update: Update) -> dict[str, Tensor | float]:
        """Go one step; a loss or a reward that is not finite fails the run."""
        loss = update.loss.item()
        reward = update.reward.item() if update.heard is None or update.heard.item() else None
        if not isfinite(loss):
            self.failures[0] = f"the loss became {loss}"
        else:
            update.loss.sum().backward()  # type: ignore[no-untyped-call]  # torch's own
            self.optimizer.step()
            try:
                self.scheduler.observe(R=reward)
            except ValueError as error:
                self.failures[0] = str(error)
            self.optimizer.zero_grad()
        signal = self.scheduler.last_signal if reward is not None else None
        return {
            "train/loss": loss,
            "train/reward": nan if reward is None else reward,
            "train/signal": nan if signal is None else signal,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what moves, beside the parameters."""
        return {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, bit for bit, from the state of a learner with the same settings."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


class ManyRuns(Learner):
    """Many runs through one optimizer; tensors are float64 of shape ``(runs,)``."""

    def __init__(self, runs: Sequence[RunSettings], parameters: list[Tensor]) -> None:
        self.failures = {}
        self._parameters = parameters
        self._optimizer = runs[0].optimizer.make(parameters, lr=1.0)
        self._skip_nonfinite = runs[0].signal.on_nonfinite == "skip"
        self._signal = stacking.stack([run.signal.make() for run in runs])
        self._rules = Bank([run.rule for run in runs])
        limits = [rates.bounds([r.optimizer.lr], r.scheduler.min_lr, r.scheduler.max_lr) for r in runs]
        self._low = torch.tensor([low for (low,), _ in limits], dtype=torch.float64)
        self._high = torch.tensor([high for _, (high,) in limits], dtype=torch.float64)
        self._base = torch.tensor([run.optimizer.lr for run in runs], dtype=torch.float64)
        self._lr = self._clip(self._rules.start(self._base))

    def rates_in_force(self) -> dict[str, Tensor | float]:
        """Return each run's rate."""
        return {"train/lr": self._lr}

    def learn(self, update: Update) -> dict[str, Tensor | float]:
        """Go one step in every run; those whose loss or reward is not finite fail, alone."""
        loss = update.loss.detach()
        self._fail(~loss.isfinite(), "the loss became {}", loss)
        self._step(update.loss)
        signal = self._observe(update.reward.double(), update.heard)
        return {"train/loss": loss, "train/reward": update.reward, "train/signal": signal}

    def _step(self, loss: Tensor) -> None:
        loss.sum().backward()  # type: ignore[no-untyped-call]  # torch's own
        with torch.no_grad():
            before = [p.clone() for p in self._parameters]
            self._optimizer.step()
            for parameter, old in zip(self._parameters, before, strict=True):
                lr = self._lr.to(parameter.dtype).view(-1, *[1] * (parameter.dim() - 1))
                # three roundings apart: a fused one would differ at the ragged end of a batch
                parameter.sub_(old).mul_(lr).add_(old)
        self._optimizer.zero_grad()

    def _observe(self, reward: Tensor, heard: Tensor | None) -> Tensor:
        finite = reward.isfinite()
        if not finite.all():
            heard = finite if heard is None else heard & finite
            if not self._skip_nonfinite:
                self._fail(~finite, "reward {} is not finite", reward)
        before = None if heard is None else stacking.snapshot(self._signal)
        signal = self._signal.observe(reward)
        assert isinstance(signal, Tensor)
        if heard is not None and before is not None:
            stacking.keep_where(self._signal, heard, before)
        moved = self._rules.observe(signal, heard)
        lr = self._clip(self._rules.next_lr(self._lr, self._base))
        self._lr = lr if moved is None else torch.where(moved, lr, self._lr)
        return signal if heard is None else torch.where(heard, signal, nan)

    def _clip(self, lr: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(lr, self._low), self._high)

    def _fail(self, where: Tensor, why: str, values: Tensor) -> None:
        if where.any():
            for run in where.nonzero().flatten().tolist():
                self.failures.setdefault(run, why.format(values[run].item()))
