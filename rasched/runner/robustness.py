"""A study over base learning rates: what is left of a tuned score if the rate is wrong by orders of magnitude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings
from rasched.errors import UsageError
from rasched.runner.progress import ProgressReporter
from rasched.train.batching import group_into_batches, unbatchable_reason
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.settings import RunSettings
from rasched.validation import from_mapping

REFERENCE = "constant"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One environment with an agent, and the scale of its score.

    The score of a run is the mean of the column ``metric`` over its rows, scaled so that ``chance`` is 0 and ``best``
    is 1; a row without a value counts as chance. ``lrs`` are the base rates of all methods, ``constant_lrs`` further
    ones of the constant rate. ``small`` replaces fields of this class in the small form of the study; a task without it
    is left out there. ``without`` names methods that this agent cannot serve.
    """

    overrides: tuple[str, ...]
    metric: str
    chance: float
    best: float
    lrs: tuple[float, ...]
    role: str  # tuning or held-out
    seeds: int
    constant_lrs: tuple[float, ...] = ()
    without: tuple[str, ...] = ()
    small: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RobustnessStudy:
    """The content of a ``study.yaml`` that has tasks: methods by name, each with its overrides."""

    question: str
    methods: Mapping[str, tuple[str, ...]]
    tasks: Mapping[str, Task]
    small_methods: tuple[str, ...] = field(default=())

    @classmethod
    def load(cls, path: Path) -> RobustnessStudy:
        """Return the study in a file; a UsageError names what is wrong with it."""
        node = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(path)))
        try:
            study = from_mapping(cls, node, "study")
            tasks = {name: from_mapping(Task, task, f"study.tasks.{name}") for name, task in node["tasks"].items()}
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        if REFERENCE not in study.methods:
            raise UsageError(f"{path}: study.methods must have {REFERENCE!r}, which the others are compared with")
        return replace(study, tasks=tasks)

    def reduced(self) -> RobustnessStudy:
        """Return the small form: fewer tasks, seeds and steps."""
        tasks = {name: replace(task, **task.small) for name, task in self.tasks.items() if task.small}
        names = self.small_methods or tuple(self.methods)
        return replace(self, tasks=tasks, methods={name: self.methods[name] for name in names})

    def restricted(
        self, tasks: Sequence[str] = (), methods: Sequence[str] = (), seeds: int | None = None
    ) -> RobustnessStudy:
        """Return the study of some tasks, of some methods beside the constant rate, and with so many seeds.

        Empty and None stand for all. An unknown name or a number of seeds below 1 is a UsageError.
        """
        for kind, names, known in (("task", tasks, self.tasks), ("method", methods, self.methods)):
            for name in names:
                if name not in known:
                    raise UsageError(f"{kind} {name!r} is unknown; known {kind}s: {', '.join(known)}")
        if seeds is not None and seeds < 1:
            raise UsageError(f"--seeds must be at least 1, got {seeds}")
        chosen = {name: self.tasks[name] for name in tasks or self.tasks}
        if seeds is not None:
            chosen = {name: replace(task, seeds=seeds) for name, task in chosen.items()}
        kept_methods = {REFERENCE, *methods} if methods else set(self.methods)
        return replace(self, tasks=chosen, methods={n: o for n, o in self.methods.items() if n in kept_methods})


def is_robustness_study(path: Path) -> bool:
    """Return whether a file is a study over base learning rates, which has tasks."""
    return path.is_file() and "tasks" in OmegaConf.load(path)


def run_robustness(study: RobustnessStudy, composer: Composer, progress: ProgressReporter) -> pl.DataFrame:
    """Train all runs of a study; return one row per run with task, method, lr, seed, score and whether it failed."""
    labelled = [(task, *row) for task in study.tasks for row in _runs(study, task, composer)]
    runs = [row[-1] for row in labelled]
    progress.begin(len(runs), sum(run.steps for run in runs))
    scores, failed = np.full(len(runs), nan), np.zeros(len(runs), bool)
    with progress:
        for indices in group_into_batches(runs):
            task = study.tasks[labelled[indices[0]][0]]
            scores[indices], failed[indices] = _train(task, [runs[index] for index in indices], progress)
    rows = [row[:-1] for row in labelled]
    frame = pl.DataFrame(rows, schema=["task", "method", "lr", "seed"], orient="row")
    return frame.with_columns(pl.Series("score", scores.round(4)), pl.Series("failed", failed))


def _runs(study: RobustnessStudy, task_name: str, composer: Composer) -> list[tuple[str, float, int, RunSettings]]:
    task, jobs = study.tasks[task_name], JobComposer(composer, [])
    rows = []
    for method, overrides in study.methods.items():
        if method in task.without:
            continue
        settings = run_settings(jobs.compose([*task.overrides, *overrides], 0).config)
        rates = [*task.lrs, *(task.constant_lrs if method == REFERENCE else ())]
        for lr in sorted(rates):
            run = replace(settings, optimizer=replace(settings.optimizer, lr=float(lr)))
            rows += [(method, float(lr), seed, replace(run, seed=seed)) for seed in range(task.seeds)]
    return rows


def _train(
    task: Task, runs: Sequence[RunSettings], progress: ProgressReporter
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Train a batch; return scores and failures, each ``(num_runs,)``. The rows after a failure count as chance."""
    callback = _MeanCallback(task.metric, task.chance, progress)
    with progress.batch(len(runs), runs[0].steps):
        results = train(runs, callback, batched=unbatchable_reason(runs[0]) is None)
    mean = callback.mean(len(runs))
    return (mean - task.chance) / (task.best - task.chance), np.array([result.error is not None for result in results])


class _MeanCallback(Callback):
    """Keeps the mean of one column of a batch."""

    def __init__(self, metric: str, chance: float, progress: ProgressReporter) -> None:
        self._metric, self._chance, self._progress = metric, chance, progress
        self._sum: Tensor | float = 0.0
        self._num_rows = 0

    def on_row(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
        if self._metric not in columns:
            raise UsageError(f"metric {self._metric!r} is no column of these runs: {', '.join(columns)}")
        self._progress.step(step, columns)
        values = torch.as_tensor(columns[self._metric], dtype=torch.float64)
        self._sum = self._sum + torch.where(values.isfinite(), values, self._chance)
        self._num_rows += 1

    def mean(self, num_runs: int) -> NDArray[np.float64]:
        """Return the mean over all rows, ``(num_runs,)``."""
        values: NDArray[np.float64] = (torch.as_tensor(self._sum) / self._num_rows).expand(num_runs).numpy()
        return values
