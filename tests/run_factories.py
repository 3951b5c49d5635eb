"""Runs for the tests of the loop."""

from __future__ import annotations

from typing import Any

import torch

from rasched.agents import AgentSettings, ReinforceSettings
from rasched.envs import EnvSettings, GaussianBanditSettings
from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
from rasched.train.loop import train
from rasched.train.settings import EvaluationSettings, OptimizerSettings, RunSettings, SchedulerSettings, SignalSettings

RULES = [Kelly(), Trend(), Variance(), Variance(window=5), Scaling(span=3.0), NoRule(), Kelly(gain=0.5)]


def run_settings(
    seed: int = 0,
    rule: Rule | None = None,
    *,
    env: EnvSettings | None = None,
    agent: AgentSettings | None = None,
    optimizer: str = "sgd",
    lr: float = 0.1,
    steps: int = 60,
    options: dict[str, Any] | None = None,
    signal: SignalSettings | None = None,
    scheduler: SchedulerSettings | None = None,
    eval: EvaluationSettings | None = None,
) -> RunSettings:
    return RunSettings(
        rule=rule or Kelly(),
        signal=signal or SignalSettings(ema_reward_beta=0.9, normalize="standardize"),
        scheduler=scheduler or SchedulerSettings(),
        env=env or GaussianBanditSettings(),
        agent=agent or ReinforceSettings(),
        optimizer=OptimizerSettings(name=optimizer, lr=lr, options=options or {}),
        steps=steps,
        seed=seed,
        eval=eval or EvaluationSettings(),
    )


def mixed(count: int, **common: Any) -> list[RunSettings]:
    """Runs of all rules, several seeds and base rates, in turn."""
    return [
        run_settings(seed=i // len(RULES), rule=RULES[i % len(RULES)], lr=0.05 * 2 ** (i % 3), **common)
        for i in range(count)
    ]


def columns_of(runs: list[RunSettings], **how: Any) -> dict[str, torch.Tensor]:
    """Train a batch and return its columns, each of shape (steps, runs)."""
    rows: list[dict[str, torch.Tensor]] = []

    def record(step: int, columns: Any) -> None:
        rows.append({name: torch.as_tensor(v, dtype=torch.float64).reshape(-1).clone() for name, v in columns.items()})

    train(runs, record, **how)
    names = dict.fromkeys(name for row in rows for name in row)
    nothing = torch.full((len(runs),), torch.nan, dtype=torch.float64)
    return {name: torch.stack([row.get(name, nothing) for row in rows]) for name in names}
