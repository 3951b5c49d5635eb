"""The settings of one run, whole and checked: what a configuration becomes before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from rasched import rates
from rasched.agents import AgentSettings
from rasched.envs import EnvSettings
from rasched.registry import number, spelling_hint
from rasched.rules import Rule
from rasched.signal import Signal


@dataclass(frozen=True, kw_only=True)
class SignalSettings:
    """From reward to signal; see :class:`rasched.signal.Signal`."""

    ema_reward_beta: float | None = None
    normalize: str | None = None
    normalize_rate: float = 0.02
    on_nonfinite: str = "raise"

    def __post_init__(self) -> None:
        self.make()
        if self.on_nonfinite not in ("raise", "skip"):
            raise ValueError(f"signal.on_nonfinite must be 'raise' or 'skip', got {self.on_nonfinite!r}")

    def make(self) -> Signal:
        """Return the signal of one run."""
        return Signal(self.normalize, self.normalize_rate, self.ema_reward_beta)


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """Bounds of the rate, and momentum; see :class:`rasched.RewardAdaptiveScheduler`."""

    min_lr: float | None = None
    max_lr: float | None = None
    adapt_momentum: bool = False
    min_momentum: float = 0.85
    max_momentum: float = 0.95


def optimizer_classes() -> dict[str, type[torch.optim.Optimizer]]:
    """Return torch's optimizers by their names in lower case."""
    found = {
        name.lower(): value
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    }
    # SparseAdam wants sparse gradients, LBFGS a closure that repeats the loss: neither fits one loss a step of
    # experience.
    return {name: cls for name, cls in found.items() if name not in ("sparseadam", "lbfgs")}


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """A class of ``torch.optim`` by name, its base rate, and its other options."""

    name: str
    lr: float
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number("optimizer.lr", self.lr, "above 0", lambda lr: lr > 0)
        known = optimizer_classes()
        if self.name.lower() not in known:
            raise ValueError(
                f"optimizer {self.name!r} is unknown; known optimizers: {', '.join(sorted(known))}"
                f"{spelling_hint(self.name, known)}"
            )
        try:
            self.make([torch.zeros(1, 1, requires_grad=True)])
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"optimizer {self.name}: {_sentence(error)}") from error

    def make(self, parameters: list[torch.Tensor], lr: float | None = None) -> torch.optim.Optimizer:
        """Return the optimizer of these parameters, at another rate than the settings' where one is given."""
        cls: Any = optimizer_classes()[self.name.lower()]
        options = {name: tuple(v) if isinstance(v, list) else v for name, v in self.options.items()}
        made: torch.optim.Optimizer = cls(parameters, lr=self.lr if lr is None else lr, **options)
        return made


def _sentence(error: Exception) -> str:
    """Return torch's complaint without the class it happened in."""
    return str(error).removeprefix("Invalid ").split(".__init__() ")[-1]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that decides a run's numbers."""

    rule: Rule
    signal: SignalSettings
    scheduler: SchedulerSettings
    env: EnvSettings
    agent: AgentSettings
    optimizer: OptimizerSettings
    steps: int
    seed: int = 0

    def __post_init__(self) -> None:
        number("steps", self.steps, "a whole number of at least 1", lambda n: n >= 1 and n == int(n))
        number("seed", self.seed, "a whole number of at least 0", lambda n: n >= 0 and n == int(n))
        rates.bounds([self.optimizer.lr], self.scheduler.min_lr, self.scheduler.max_lr)
