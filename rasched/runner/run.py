"""Train one run: from overrides to a folder of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rasched.analysis.run_folder import CONTROL_DIR
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.shorthand import expand_shorthand
from rasched.errors import UsageError
from rasched.records.output_dir import create_output_dir, is_timestamped, lock_empty_dir
from rasched.records.provenance import GitState
from rasched.records.run_json import RECORD
from rasched.runner.control import make_control, wants_control
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_batch import train_batch
from rasched.runner.run_spec import RunSpec, validate
from rasched.train.run_result import RunResult

PICTURE = "lr_vs_reward.png"


def run(composer: Composer, overrides: Sequence[str], progress: ProgressReporter) -> tuple[RunSpec, RunResult]:
    """Train one run, with its control if it has one, and return what was trained and how it ended.

    Errors are those of :func:`plan_run` and :func:`train_single`.
    """
    spec, jobs = plan_run(composer, overrides)
    return spec, train_new(spec, jobs, progress)


def plan_run(composer: Composer, overrides: Sequence[str]) -> tuple[RunSpec, JobComposer]:
    """Compose and validate one run, and create its folder; return it with the composer of its control.

    Wrong settings, and a folder that cannot be created, are a UsageError before anything is written.
    """
    overrides = expand_shorthand(overrides)
    parsed = composer.parse(overrides)
    hydra_overrides = [str(o.input_line) for o in parsed if o.is_hydra_override()]
    lines = [str(o.input_line) for o in parsed if not o.is_hydra_override()]
    run_dir = composer.compose(overrides).hydra.run.dir
    jobs = JobComposer(composer, [*hydra_overrides, "hydra.mode=RUN"])
    job = jobs.compose(lines, 0)
    spec = RunSpec(job, Path(run_dir))
    if spec.only_scores:
        raise UsageError("logger=scores is for sweeps: the records of a single run are its own, so leave it out")
    validate([spec])
    assert job.hydra is not None  # composed by us
    return replace(spec, folder=create_output_dir(spec.folder, is_timestamped(job.hydra["run"]["dir"]))), jobs


def train_new(spec: RunSpec, jobs: JobComposer, progress: ProgressReporter) -> RunResult:
    """Train a planned run in its new folder, which no other process may use meanwhile."""
    with lock_empty_dir(spec.folder):
        return train_single(spec, jobs, progress)


def train_single(spec: RunSpec, jobs: JobComposer, progress: ProgressReporter) -> RunResult:
    """Train a run whose folder exists, then its control, and plot both.

    A run that fails is a result; an internal error goes on to the caller. KeyboardInterrupt and Terminated leave what
    was recorded, and go on to the caller.
    """
    has_control = wants_control(spec)
    git = GitState(spec.folder)
    num_runs = 1 + has_control
    progress.begin(num_runs, num_runs * spec.settings.steps)
    with progress:
        (result,) = train_batch([spec], progress, git)
        control = make_control(jobs, spec) if has_control and result.is_done else None
        if control is not None:
            train_batch([control], progress, git)
    if result.exception is not None and result.exit_code == 1:
        raise result.exception
    if spec.logger.plot and result.scores:
        plot_run(spec.folder)
    return result


def plot_run(folder: Path) -> None:
    """Plot reward and learning rate of a run, beside those of its control, from their records."""
    from rasched.analysis.load import load_run
    from rasched.analysis.plots import RunMarks, lr_vs_reward

    path = folder / PICTURE
    run, control = load_run(folder), folder / CONTROL_DIR
    has_control = (control / RECORD).exists() and not control.is_symlink()
    marks = RunMarks.of(run.config, control=load_run(control).metrics if has_control else None)
    lr_vs_reward(run.metrics, path, marks)
