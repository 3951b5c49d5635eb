"""The settings of one run, checked: what a configuration becomes before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from rasched.agents import AgentSettings
from rasched.envs import EnvSettings
from rasched.rules import Rule
from rasched.rules.signal import Normalize, RewardSignal, check_raw_rewards
from rasched.scheduler.bounds import lr_bounds
from rasched.train.optimizers import OptimizerSettings
from rasched.validation import check_settings

_Momentum = Annotated[float, Interval(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class SignalSettings:
    """Which reward the rule observes and how often, and how it becomes a signal (:class:`RewardSignal`).

    ``source`` is one of these:

    - ``reward``: what the agent reports, which is a bandit's own reward, or the mean reward of the steps just learnt
      from;
    - ``rollout_reward``: the same before any normalisation;
    - ``episode_return``: the mean return of the episodes that finished since the last observation; if none did, there
      is no reward;
    - ``eval_return``: the return of each new evaluation.

    ``every="step"`` observes it after each gradient step, ``"update"`` once after all gradient steps of one rollout.
    """

    source: Literal["reward", "episode_return", "rollout_reward", "eval_return"] = "reward"
    every: Literal["step", "update"] = "step"
    ema_reward_beta: Annotated[float, Interval(ge=0, lt=1)] | None = None
    normalize: Normalize | None = None
    normalize_rate: Annotated[float, Interval(ge=0, le=1)] = 0.02
    on_nonfinite: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        check_settings(self, "signal.")

    def make(self) -> RewardSignal:
        """Return the signal of one run."""
        return RewardSignal(self.normalize, self.normalize_rate, self.ema_reward_beta)

    def scheduler_kwargs(self) -> dict[str, Any]:
        """Return the settings that :class:`rasched.RewardAdaptiveScheduler` takes as keywords."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("source", "every")}


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How often the policy is evaluated, in environment steps (0 is never), and over how many episodes."""

    every: Annotated[int, Ge(0)] = 0
    episodes: Annotated[int, Interval(ge=1, le=1_000_000)] = 10  # side by side

    def __post_init__(self) -> None:
        check_settings(self, "eval.")


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    """Bounds of the learning rate, and momentum; see :class:`rasched.RewardAdaptiveScheduler`."""

    min_lr: Annotated[float, Interval(gt=0)] | None = None
    max_lr: Annotated[float, Interval(gt=0)] | None = None
    adapt_momentum: bool = False
    min_momentum: _Momentum = 0.85
    max_momentum: _Momentum = 0.95

    def __post_init__(self) -> None:
        check_settings(self, "scheduler.")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that decides a run's numbers."""

    rule: Rule
    signal: SignalSettings
    scheduler: SchedulerSettings
    env: EnvSettings
    agent: AgentSettings
    optimizer: OptimizerSettings
    steps: Annotated[int, Ge(1)]  # environment steps
    seed: Annotated[int, Ge(0)] = 0
    eval: EvaluationSettings = EvaluationSettings()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.signal.source == "eval_return" and not self.eval.every:
            raise ValueError(
                "signal.source=eval_return needs evaluations: give eval.every a number of steps above 0, or"
                " choose another signal, as in signal=episodes"
            )
        check_raw_rewards(self.rule, self.signal.normalize, self.signal.ema_reward_beta, "signal.")
        lr_bounds([self.optimizer.lr], self.scheduler.min_lr, self.scheduler.max_lr)
        for name in self.rule.extra_signals:
            if name not in self.agent.signals:
                given = ", ".join(self.agent.signals) or "none"
                raise ValueError(
                    f"rule={self.rule.name} needs the signal {name}, which agent={self.agent.name} does not give"
                    f" (its signals: {given}): choose another rule or another agent"
                )
