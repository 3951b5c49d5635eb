"""The settings of one run, whole and checked: what a configuration becomes before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import torch

from rasched.agents import AgentSettings
from rasched.envs import EnvSettings
from rasched.rules import Rule
from rasched.rules.signal import Normalize, RewardSignal
from rasched.scheduler.bounds import lr_bounds
from rasched.train.optimizers import skip_dynamo_import
from rasched.validation import check_choice, check_number, did_you_mean

# Options of torch's optimizers that choose among implementations, or exclude one.
_IMPLEMENTATIONS = {"fused", "foreach", "capturable", "differentiable"}
SOURCES = ("reward", "episode_return", "rollout_reward", "eval_return")


@dataclass(frozen=True, kw_only=True)
class SignalSettings:
    """Which reward the rule observes, how often, and how it becomes a signal; see :mod:`rasched.rules.signal`.

    ``source`` is the ``reward`` that the agent names (a bandit's own; the mean reward of the steps just learnt from),
    the ``rollout_reward`` (the same, before any normalisation), the ``episode_return`` (mean of the episodes that
    finished since the rule last heard; none: it hears nothing) or the ``eval_return`` of each new evaluation. It is
    heard after each optimizer ``step``, or once an ``update``: after the last of the steps on the same experience.
    """

    source: str = "reward"
    every: str = "step"
    ema_reward_beta: float | None = None
    normalize: Normalize | None = None
    normalize_rate: float = 0.02
    on_nonfinite: str = "raise"

    def __post_init__(self) -> None:
        self.make()
        check_choice("signal.source", self.source, SOURCES)
        check_choice("signal.every", self.every, ("step", "update"))
        if self.on_nonfinite not in ("raise", "skip"):
            raise ValueError(f"signal.on_nonfinite must be 'raise' or 'skip', got {self.on_nonfinite!r}")

    def make(self) -> RewardSignal:
        """Return the signal of one run."""
        return RewardSignal(self.normalize, self.normalize_rate, self.ema_reward_beta)

    def of_scheduler(self) -> dict[str, Any]:
        """Return the keywords of :class:`rasched.RewardAdaptiveScheduler` among these settings."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("source", "every")}


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How often the policy is evaluated, in environment steps (0: never), and over how many episodes."""

    every: int = 0
    episodes: int = 10

    def __post_init__(self) -> None:
        check_number("eval.every", self.every, "a whole number of at least 0 steps", lambda n: n >= 0 and n == int(n))
        check_number("eval.episodes", self.episodes, "a whole number of at least 1", lambda n: n >= 1 and n == int(n))


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """Bounds of the rate, and momentum; see :class:`rasched.RewardAdaptiveScheduler`."""

    min_lr: float | None = None
    max_lr: float | None = None
    adapt_momentum: bool = False
    min_momentum: float = 0.85
    max_momentum: float = 0.95


@cache
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
        check_number("optimizer.lr", self.lr, "above 0", lambda lr: lr > 0)
        known = optimizer_classes()
        if self.name.lower() not in known:
            raise ValueError(
                f"optimizer {self.name!r} is unknown; known optimizers: {', '.join(sorted(known))}"
                f"{did_you_mean(self.name, known)}"
            )
        try:
            self.make([torch.zeros(1, 1, requires_grad=True)])
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"optimizer {self.name}: {_sentence(error)}") from error

    def make(self, parameters: list[torch.Tensor], lr: float | None = None) -> torch.optim.Optimizer:
        """Return the optimizer of these parameters, at another rate than the settings' where one is given."""
        skip_dynamo_import()
        cls: Any = optimizer_classes()[self.name.lower()]
        options = {name: tuple(v) if isinstance(v, list) else v for name, v in self.options.items()}
        if self.name.lower() in ("adam", "adamw") and not options.keys() & _IMPLEMENTATIONS:
            # One pass over memory instead of a dozen: 50 us instead of 105 for 67,000 weights, 0.4 ms instead of 4 for
            # 890,000. Adagrad and SGD have the form as well, and little to gain by it.
            options["fused"] = True
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
    eval: EvaluationSettings = EvaluationSettings()

    def __post_init__(self) -> None:
        check_number("steps", self.steps, "a whole number of at least 1", lambda n: n >= 1 and n == int(n))
        check_number("seed", self.seed, "a whole number of at least 0", lambda n: n >= 0 and n == int(n))
        if self.signal.source == "eval_return" and not self.eval.every:
            raise ValueError("signal.source=eval_return needs evaluations: give eval.every a number of steps above 0")
        lr_bounds([self.optimizer.lr], self.scheduler.min_lr, self.scheduler.max_lr)
