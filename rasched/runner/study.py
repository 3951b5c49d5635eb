"""A study: a question, the overrides that differ, many seeds; curves and scores with intervals, and no run folders.

Thousands of runs of one setting are only ever looked at together, so their curves are added up as they train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

import rasched
from rasched.analysis.statistics import bootstrap_ci
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer, split
from rasched.errors import RunFailed, UsageError
from rasched.records.scores import last_tenth, mean
from rasched.runner.run_spec import make_run_specs, validate_run_specs
from rasched.runner.watch import Watch
from rasched.train.batching import group_into_batches
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.settings import RunSettings
from rasched.validation import check_number, did_you_mean, from_mapping

POINTS = 100  # rows a setting in results.csv
Steps = NDArray[np.int64]
Floats = NDArray[np.float64]


def studies_dir() -> Path:
    """Return the folder of the studies: inside an installed package, at the root of a checkout."""
    package = Path(rasched.__file__).parent
    inside = package / "experiments"
    return inside if inside.is_dir() else package.parent / "experiments"


@dataclass(frozen=True, kw_only=True)
class Study:
    """What ``study.yaml`` says: ``curve`` is the column to follow, the score its mean over the last tenth of a run."""

    question: str
    overrides: tuple[str, ...]
    seeds: int
    curve: str
    label: str  # of the curve, for the picture

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", tuple(self.overrides))
        check_number("study.seeds", self.seeds, "at least 2 (an interval needs two)", lambda n: n >= 2)

    @classmethod
    def load(cls, name: str) -> Study:
        """Return the study of that name; an unknown one is a UsageError."""
        path = studies_dir() / name / "study.yaml"
        if not path.is_file():
            known = sorted(p.parent.name for p in studies_dir().glob("*/study.yaml"))
            listed = ", ".join(known) or "none"
            raise UsageError(f"study {name!r} is unknown; known studies: {listed}{did_you_mean(name, known)}")
        node = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(node, dict)
        try:
            return from_mapping(cls, {str(key): value for key, value in node.items()}, "study")
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error


@dataclass(frozen=True)
class StudyResult:
    """One setting's mean curve over its runs, and its score, both with 95 % intervals.

    ``steps``, ``mean`` and ``half_width`` have shape ``(rows,)``; ``score`` and its interval are over ``runs`` seeds.
    """

    setting: str
    steps: Steps
    mean: Floats
    half_width: Floats
    runs: int
    score: float
    low: float
    high: float


def find(study: Study, composer: Composer, watch: Watch, extra: Sequence[str] = ()) -> list[StudyResult]:
    """Train all runs of a study, ``extra`` overrides on top, and return what came of each setting.

    A run that fails ends the study with RunFailed, since a mean without it would lie.
    """
    settings = _settings(study, composer, extra)
    runs = [replace(run, seed=seed) for run in settings.values() for seed in range(study.seeds)]
    setting_of = np.repeat(np.arange(len(settings)), study.seeds)
    watch.begin(len(runs), sum(run.steps for run in runs))
    found = [_Found() for _ in settings]
    for places in group_into_batches(runs):
        steps, curves = _curves([runs[place] for place in places], study.curve, watch)
        for setting in np.unique(setting_of[places]):
            found[setting].add(steps, curves[:, setting_of[places] == setting])
    return [one.finding(label) for label, one in zip(settings, found, strict=True)]


def _settings(study: Study, composer: Composer, extra: Sequence[str]) -> dict[str, RunSettings]:
    """Return each setting of the study by what its jobs' overrides do not all share."""
    hydra, jobs = split(composer, [*study.overrides, *extra])
    common = set.intersection(*(set(job) for job in jobs))
    plans = make_run_specs(list(JobComposer(composer, hydra).all(jobs)))
    validate_run_specs(plans)
    labels = [" ".join(line for line in job if line not in common) or "all" for job in jobs]
    return {label: plan.settings for label, plan in zip(labels, plans, strict=True)}


def _curves(runs: Sequence[RunSettings], curve: str, watch: Watch) -> tuple[Steps, Floats]:
    """Train one batch; return the steps ``(rows,)`` and each run's curve ``(rows, runs)``."""
    callback = _CurveCallback(curve, watch)
    with watch.batch(len(runs), runs[0].steps):
        results = train(runs, callback)
    errors = [result.error for result in results if result.error]
    if errors:
        raise RunFailed(f"{len(errors)} of {len(runs)} runs failed, the first because {errors[0]}")
    return np.array(callback.steps, np.int64), torch.stack(callback.rows).numpy()


class _CurveCallback(Callback):
    """Keeps one column of a batch."""

    def __init__(self, curve: str, watch: Watch) -> None:
        self._curve = curve
        self._watch = watch
        self.steps: list[int] = []
        self.rows: list[Tensor] = []

    def on_row(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
        if self._curve not in columns:
            raise UsageError(f"study.curve {self._curve!r} is no column of these runs: {', '.join(columns)}")
        self._watch.step(step, columns)
        self.steps.append(step)
        self.rows.append(torch.as_tensor(columns[self._curve], dtype=torch.float64).reshape(-1))


class _Found:
    """The moments of a setting's curve, and its runs' scores, batch by batch."""

    def __init__(self) -> None:
        self._steps: Steps = np.empty(0, np.int64)
        self._moments: Floats | float = 0.0
        self._scores: list[Floats] = []

    def add(self, steps: Steps, curves: Floats) -> None:
        self._steps = steps
        count = np.full(len(steps), curves.shape[1])
        self._moments = self._moments + np.stack([count, curves.sum(1), (curves * curves).sum(1)])
        self._scores.append(mean(last_tenth(curves)))

    def finding(self, setting: str) -> StudyResult:
        count, total, squares = np.asarray(self._moments)
        level = total / count
        variance = np.maximum(squares / count - level**2, 0) * count / np.maximum(count - 1, 1)
        scores = np.concatenate(self._scores)
        half_width = 1.96 * np.sqrt(variance / count)
        return StudyResult(
            setting, self._steps, level, half_width, len(scores), float(scores.mean()), *bootstrap_ci(scores)
        )


def table(findings: Sequence[StudyResult]) -> pl.DataFrame:
    """Return some hundred rows a setting: step, mean and interval of the curve, and on each row the setting's score."""
    frames = []
    for one in findings:
        rows = np.unique(np.linspace(0, len(one.steps) - 1, POINTS).astype(int))
        curve = {
            "step": one.steps[rows],
            "mean": one.mean[rows],
            "low": (one.mean - one.half_width)[rows],
            "high": (one.mean + one.half_width)[rows],
        }
        whole = {"runs": one.runs, "score": one.score, "score_low": one.low, "score_high": one.high}
        frames.append(pl.DataFrame({"setting": one.setting, **curve, **whole}))
    return pl.concat(frames)
