"""Does a rule keep the same if the rewards that it observes have another zero or scale, and where does its rate go?

``python experiments/robustness/offsets.py`` writes ``offsets.csv`` and ``traces.csv`` here, in minutes. Only
what the rule observes is changed: the agent learns from the same rewards, so the constant rate is not affected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from rasched.analysis.kept import kept
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings
from rasched.rules import Rule
from rasched.runner.robustness import REFERENCE, RobustnessStudy, Task
from rasched.stacking import settings_of
from rasched.train.batching import group_into_batches
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.settings import RunSettings

FOLDER = Path(__file__).parent
NUM_SEEDS = 8
# Task, then the scale and the offset of what the rule observes.
CHANGES = {
    "R": ("gaussian", 1.0, 0.0),
    "R + 100": ("gaussian", 1.0, 100.0),
    "R - 100": ("gaussian", 1.0, -100.0),
    "10 R": ("gaussian", 10.0, 0.0),
    "0 or 1": ("bernoulli", 1.0, 0.0),
    "-1 or 0": ("bernoulli", 1.0, -1.0),
}
TRACED = "R"
TRACE_STEPS = (20, 100, 500, 2000)
METHODS = (
    "constant", "plateau", "greedy", "scaling", "trend", "variance", "kelly", "lrrl", "exp3", "search_hold",
    "kl_published", "kl_adaptive", "kl_search",
)  # fmt: skip


class LabelledRun(NamedTuple):
    """A run, and the row of the results that it belongs to."""

    change: str
    method: str
    lr: float
    seed: int
    settings: RunSettings


def observing(rule: Rule, scale: float, offset: float) -> Rule:
    """Return the rule as it is if it observes ``scale * R + offset`` in place of ``R``."""
    cls: Any = type(rule)

    def observe(self: Any, signal: Any, **signals: Any) -> None:
        cls.observe(self, scale * signal + offset, **signals)

    changed: Any = type(cls.__name__, (cls,), {"__slots__": (), "observe": observe})
    return changed(**settings_of(rule))


def make_runs(study: RobustnessStudy, composer: Composer, num_seeds: int) -> list[LabelledRun]:
    """Return the runs of all changes; those of the constant rate are the same for each change of a task."""
    runs, jobs = [], JobComposer(composer, [])
    for change, (task_name, scale, offset) in CHANGES.items():
        task = study.tasks[task_name]
        for method in METHODS:
            settings = run_settings(jobs.compose([*task.overrides, *study.methods[method]], 0).config)
            rates = sorted([*task.lrs, *(task.constant_lrs if method == REFERENCE else ())])
            for lr in rates:
                optimizer = replace(settings.optimizer, lr=float(lr))
                rule = observing(settings.rule, scale, offset)
                own = replace(settings, optimizer=optimizer, rule=rule)
                runs += [LabelledRun(change, method, lr, seed, replace(own, seed=seed)) for seed in range(num_seeds)]
    return runs


class Recorder(Callback):
    """Adds up the regret of a batch, and keeps its rates at some steps."""

    def __init__(self) -> None:
        self.regret: Tensor | float = 0.0
        self.num_rows = 0
        self.rates: dict[int, Tensor] = {}

    def on_row(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
        self.regret = self.regret + torch.as_tensor(columns["train/regret"])
        self.num_rows += 1
        if step in TRACE_STEPS:
            self.rates[step] = torch.as_tensor(columns["train/lr"]).clone()


def measure(study: RobustnessStudy, runs: Sequence[LabelledRun]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Train the runs; return scores (one row per run) and rates (one row per run and step of the traced change)."""
    scores, traces = np.full(len(runs), np.nan), []
    for indices in group_into_batches([run.settings for run in runs]):
        recorder = Recorder()
        train([runs[index].settings for index in indices], recorder, batched=True)
        task: Task = study.tasks[CHANGES[runs[indices[0]].change][0]]
        mean = (torch.as_tensor(recorder.regret) / recorder.num_rows).numpy()
        scores[indices] = (mean - task.chance) / (task.best - task.chance)
        for slot, run in enumerate(runs[index] for index in indices):
            if run.change == TRACED:
                rates = ((step, float(values[slot])) for step, values in recorder.rates.items())
                traces += [(run.method, run.lr, run.seed, step, rate) for step, rate in rates]
    rows = [(run.change, run.method, run.lr, run.seed, score) for run, score in zip(runs, scores, strict=True)]
    return (
        pl.DataFrame(rows, schema=["change", "method", "lr", "seed", "score"], orient="row"),
        pl.DataFrame(traces, schema=["method", "lr", "seed", "step", "rate"], orient="row"),
    )


def offsets_table(scores: pl.DataFrame) -> str:
    """Return what each method keeps under each change, with its interval, as Markdown."""
    table = kept(scores.rename({"change": "task"}))
    lines = [f"| method | {' | '.join(CHANGES)} |", "| --- " * (len(CHANGES) + 1) + "|"]
    for method in scores["method"].unique(maintain_order=True):
        cells = []
        for change in CHANGES:
            row = table.filter((pl.col("method") == method) & (pl.col("task") == change)).row(0, named=True)
            cells.append(f"{row['kept']:.2f} [{row['kept_low']:.2f}, {row['kept_high']:.2f}]")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def traces_table(traces: pl.DataFrame) -> str:
    """Return the geometric mean over the seeds of the rate at some steps, by method and base rate, as Markdown."""
    base_lrs = traces["lr"].unique().sort().to_list()
    shown = [base_lrs[0], base_lrs[len(base_lrs) // 2], base_lrs[-1]]
    heads = [f"{lr:g} @ {step}" for lr in shown for step in TRACE_STEPS]
    lines = [f"| method | {' | '.join(heads)} |", "| --- " * (len(heads) + 1) + "|"]
    for method in traces["method"].unique(maintain_order=True):
        of_method = traces.filter(pl.col("method") == method)
        cells = []
        for lr in shown:
            for step in TRACE_STEPS:
                rates = of_method.filter((pl.col("lr") == lr) & (pl.col("step") == step))["rate"].to_numpy()
                cells.append(f"{np.exp(np.log(rates).mean()):.2g}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the scores and the rates, and print both tables."""
    study = RobustnessStudy.load(FOLDER / "study.yaml")
    scores, traces = measure(study, make_runs(study, Composer.open(), NUM_SEEDS))
    shown = traces["lr"].unique().sort().gather([0, 3, 6])  # of the constant rate, which has two more
    traces.filter(pl.col("lr").is_in(shown.to_list())).write_csv(FOLDER / "traces.csv", float_precision=6)
    scores.write_csv(FOLDER / "offsets.csv", float_precision=4)
    print(f"{offsets_table(scores)}\n\n{traces_table(traces)}")


if __name__ == "__main__":
    main()
