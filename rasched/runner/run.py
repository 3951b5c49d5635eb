"""Train one run: from overrides to a folder of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.shorthand import expand_shorthand
from rasched.errors import UsageError
from rasched.records.output_dir import create_output_dir, is_timestamped, lock_empty_dir
from rasched.records.provenance import GitState
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_batch import train_batch
from rasched.runner.run_spec import RunSpec, validate
from rasched.train.run_result import RunResult

PICTURE = "lr_vs_reward.png"


def run(composer: Composer, overrides: Sequence[str], progress: ProgressReporter) -> tuple[RunSpec, RunResult]:
    """Train one run, and return what was trained and how it ended.

    Wrong settings, and a folder that cannot be created, are a UsageError before anything is written. A run that fails
    is a result. KeyboardInterrupt and Terminated leave what was recorded, and go on to the caller.
    """
    overrides = expand_shorthand(overrides)
    parsed = composer.parse(overrides)
    hydra_overrides = [str(o.input_line) for o in parsed if o.is_hydra_override()]
    lines = [str(o.input_line) for o in parsed if not o.is_hydra_override()]
    run_dir = composer.compose(overrides).hydra.run.dir
    job = JobComposer(composer, [*hydra_overrides, "hydra.mode=RUN"]).compose(lines, 0)
    spec = RunSpec(job, Path(run_dir))
    validate([spec])
    assert job.hydra is not None  # composed by us
    spec = replace(spec, folder=create_output_dir(spec.folder, is_timestamped(job.hydra["run"]["dir"])))
    with lock_empty_dir(spec.folder):
        return spec, train_single(spec, progress)


def train_single(spec: RunSpec, progress: ProgressReporter) -> RunResult:
    """Train a run whose folder exists, and plot it; an internal error goes on to the caller."""
    progress.begin(1, spec.settings.steps)
    with progress:
        (result,) = train_batch([spec], progress, GitState(spec.folder))
    if result.exception is not None and result.exit_code == 1:
        raise result.exception
    if spec.logger.plot and result.scores:
        plot_run(spec.folder)
    return result


def plot_run(folder: Path) -> None:
    """Plot learning rate against reward, from the run's records."""
    from rasched.analysis.load import load_run
    from rasched.analysis.plots import lr_vs_reward

    path = folder / PICTURE
    if path.is_symlink():
        raise UsageError(f"{path} is a symbolic link, through which nothing is written; delete it")
    lr_vs_reward(load_run(folder).metrics, path)
