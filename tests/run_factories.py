"""Runs for the tests of the loop."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from rasched.agents import AgentSettings, ReinforceSettings
from rasched.envs import EnvSettings, GaussianBanditSettings
from rasched.records.run_json import read_json
from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.optimizers import OptimizerSettings
from rasched.train.run_result import RunResult
from rasched.train.settings import EvaluationSettings, RunSettings, SchedulerSettings, SignalSettings
from rasched.train.video import Video

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


class FunctionCallback(Callback):
    """Calls functions: on each row, with the state every so many steps and at the end, and with each video."""

    def __init__(
        self,
        on_row: Callable[[int, Any], Any] | None = None,
        save: Callable[[dict[str, Any]], Any] | None = None,
        save_every: int = 0,
        on_video: Callable[[int, Callable[[], Video]], Any] | None = None,
    ) -> None:
        self._on_row, self._save, self._save_every, self._on_video = on_row, save, save_every, on_video
        self.records_video = on_video is not None
        self.last_saved = 0
        self.last_step: int | None = None

    def on_row(self, step: int, columns: Mapping[str, torch.Tensor | float]) -> None:
        if self._on_row is not None:
            self._on_row(step, columns)

    def on_checkpoint(self, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        is_due = self._save_every and step - self.last_saved >= self._save_every
        if self._save is not None and (is_due or (self.last_step is not None and step >= self.last_step)):
            self._save(copy.deepcopy(state_dict()))
            self.last_saved = step

    def on_video(self, run_index: int, record_video: Callable[[], Video]) -> None:
        if self._on_video is not None:
            self._on_video(run_index, record_video)


def train_runs(
    runs: list[RunSettings],
    on_row: Callable[[int, Any], Any] | None = None,
    *,
    state: dict[str, Any] | None = None,
    batched: bool = False,
    **functions: Any,
) -> list[RunResult]:
    """Train a batch with functions in place of a callback (:class:`FunctionCallback`)."""
    callback = FunctionCallback(on_row, **functions)
    callback.last_saved = state["step"] if state else 0
    callback.last_step = runs[0].steps
    return train(runs, callback, state=state, batched=batched)


def columns_of(runs: list[RunSettings], **how: Any) -> dict[str, torch.Tensor]:
    """Train a batch and return its columns, each of shape (rows, num_runs)."""
    rows: list[dict[str, torch.Tensor]] = []

    def record(step: int, columns: Any) -> None:
        rows.append({name: torch.as_tensor(v, dtype=torch.float64).reshape(-1).clone() for name, v in columns.items()})

    train_runs(runs, record, **how)
    names = dict.fromkeys(name for row in rows for name in row)
    nothing = torch.full((len(runs),), torch.nan, dtype=torch.float64)
    return {name: torch.stack([row.get(name, nothing) for row in rows]) for name in names}


def folder_of_run(sweep: Path, *overrides: str) -> Path:
    """Return the folder of the one run of a sweep that has these overrides."""
    (folder,) = (p.parent for p in sweep.glob("*/run.json") if set(overrides) <= set(read_json(p)["overrides"]))
    return folder
