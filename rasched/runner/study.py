"""A study: a question, the overrides that differ, and many seeds; it leaves curves and scores, and no run folders.

Thousands of runs of one variant are only ever read together, so their curves are added up while they train.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from omegaconf import OmegaConf
from torch import Tensor

import rasched
from rasched.analysis.statistics import bootstrap_ci
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer, expand_overrides
from rasched.errors import RunFailed, UsageError
from rasched.records.scores import last_tenth, mean
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_spec import make_run_specs, validate
from rasched.train.batching import group_into_batches
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.settings import RunSettings
from rasched.validation import check_settings, did_you_mean, from_mapping

NUM_POINTS = 100  # rows per variant in results.csv
Steps = NDArray[np.int64]
Floats = NDArray[np.float64]


def studies_dir() -> Path:
    """Return the folder of the studies: inside an installed package, or at the root of a checkout."""
    package = Path(rasched.__file__).parent
    installed = package / "experiments"
    return installed if installed.is_dir() else package.parent / "experiments"


def find_study(name: str) -> Path:
    """Return the folder of a study, the user's own if it holds a ``study.yaml``; an unknown name is a UsageError."""
    for folder in (Path(name), studies_dir() / name):
        if (folder / "study.yaml").is_file():
            return folder
    known = sorted(path.parent.name for path in studies_dir().glob("*/study.yaml"))
    names = ", ".join(known) or "none"
    raise UsageError(
        f"study {name!r} is unknown; known studies: {names}{did_you_mean(name, known)};"
        " a folder of your own needs a study.yaml"
    )


@dataclass(frozen=True, kw_only=True)
class Study:
    """The content of ``study.yaml``. A run's score is the mean of the column ``metric`` over its last tenth."""

    question: str
    overrides: tuple[str, ...]
    seeds: Annotated[int, Ge(2)]  # an interval needs two
    metric: str
    ylabel: str  # of the picture

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", tuple(self.overrides))
        check_settings(self, "study.")

    @classmethod
    def load(cls, name: str) -> Study:
        """Return the study of that name, or in that folder; errors as of :func:`find_study`."""
        path = find_study(name) / "study.yaml"
        node = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(node, dict)
        try:
            return from_mapping(cls, {str(key): value for key, value in node.items()}, "study")
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error


@dataclass(frozen=True)
class StudyResult:
    """The mean curve of one variant over its runs, and its score, both with 95% intervals.

    ``steps``, ``mean`` and ``half_width`` have shape ``(num_rows,)``; ``score`` and its interval are over ``num_runs``
    seeds.
    """

    variant: str
    steps: Steps
    mean: Floats
    half_width: Floats
    num_runs: int
    score: float
    low: float
    high: float


def run_study(
    study: Study, composer: Composer, progress: ProgressReporter, extra_overrides: Sequence[str] = ()
) -> list[StudyResult]:
    """Train all runs of a study, with extra overrides, and return one result per variant.

    A run that fails ends the study with RunFailed, since a mean without it would mislead.
    """
    variants = _variants(study, composer, extra_overrides)
    runs = [replace(run, seed=seed) for run in variants.values() for seed in range(study.seeds)]
    variant_of_run = np.repeat(np.arange(len(variants)), study.seeds)
    progress.begin(len(runs), sum(run.steps for run in runs))
    moments = [_CurveMoments() for _ in variants]
    with progress:
        for indices in group_into_batches(runs):
            steps, curves = _train_curves([runs[index] for index in indices], study.metric, progress)
            for variant in np.unique(variant_of_run[indices]):
                moments[variant].add(steps, curves[:, variant_of_run[indices] == variant])
    return [of_variant.result(label) for label, of_variant in zip(variants, moments, strict=True)]


def _variants(study: Study, composer: Composer, extra_overrides: Sequence[str]) -> dict[str, RunSettings]:
    """Return the settings of each variant, by the overrides that not all of them share."""
    hydra_overrides, jobs = expand_overrides(composer, [*study.overrides, *extra_overrides])
    common = set.intersection(*(set(job) for job in jobs))
    specs = make_run_specs(list(JobComposer(composer, hydra_overrides).compose_all(jobs)))
    validate(specs)
    labels = [" ".join(line for line in job if line not in common) or "all" for job in jobs]
    return {label: spec.settings for label, spec in zip(labels, specs, strict=True)}


def _train_curves(runs: Sequence[RunSettings], metric: str, progress: ProgressReporter) -> tuple[Steps, Floats]:
    """Train one batch; return the steps ``(num_rows,)`` and each run's curve ``(num_rows, num_runs)``."""
    callback = _CurveCallback(metric, progress)
    with progress.batch(len(runs), runs[0].steps):
        results = train(runs, callback)
    errors = [result.error for result in results if result.error]
    if errors:
        raise RunFailed(f"{len(errors)} of {len(runs)} runs failed, the first because {errors[0]}")
    return np.array(callback.steps, np.int64), torch.stack(callback.rows).numpy()


class _CurveCallback(Callback):
    """Keeps one column of a batch."""

    def __init__(self, metric: str, progress: ProgressReporter) -> None:
        self._metric = metric
        self._progress = progress
        self.steps: list[int] = []
        self.rows: list[Tensor] = []

    def on_row(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
        if self._metric not in columns:
            raise UsageError(f"study.metric {self._metric!r} is no column of these runs: {', '.join(columns)}")
        self._progress.step(step, columns)
        self.steps.append(step)
        self.rows.append(torch.as_tensor(columns[self._metric], dtype=torch.float64).reshape(-1))


class _CurveMoments:
    """The moments of a variant's curve, and its runs' scores, added up batch by batch."""

    def __init__(self) -> None:
        self._steps: Steps = np.empty(0, np.int64)
        self._moments: Floats | float = 0.0  # (3, num_rows): count, sum, sum of squares
        self._scores: list[Floats] = []

    def add(self, steps: Steps, curves: Floats) -> None:
        self._steps = steps
        count = np.full(len(steps), curves.shape[1])
        self._moments = self._moments + np.stack([count, curves.sum(1), (curves * curves).sum(1)])
        self._scores.append(mean(last_tenth(curves)))

    def result(self, variant: str) -> StudyResult:
        count, total, squares = np.asarray(self._moments)
        level = total / count
        variance = np.maximum(squares / count - level**2, 0) * count / np.maximum(count - 1, 1)
        scores = np.concatenate(self._scores)
        half_width = 1.96 * np.sqrt(variance / count)
        return StudyResult(
            variant, self._steps, level, half_width, len(scores), float(scores.mean()), *bootstrap_ci(scores)
        )


def to_table(results: Sequence[StudyResult]) -> pl.DataFrame:
    """Return about a hundred rows per variant: step, mean and interval of the curve, and in each row its score."""
    frames = []
    for result in results:
        rows = np.unique(np.linspace(0, len(result.steps) - 1, NUM_POINTS).astype(int))
        curve = {
            "step": result.steps[rows],
            "mean": result.mean[rows],
            "low": (result.mean - result.half_width)[rows],
            "high": (result.mean + result.half_width)[rows],
        }
        scores = {"runs": result.num_runs, "score": result.score, "score_low": result.low, "score_high": result.high}
        frames.append(pl.DataFrame({"setting": result.variant, **curve, **scores}))
    return pl.concat(frames)
