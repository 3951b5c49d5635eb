"""Plan and run a sweep: all its jobs are validated before one starts, and each has a folder below the sweep's.

Only the processes that train import torch, so nothing here imports it at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rasched.analysis.sweep_table import SweepSummary
from rasched.compose.composer import Composer
from rasched.compose.hydra_compat import BASIC_SWEEPER, is_plugin
from rasched.compose.jobs import JobComposer, expand_overrides
from rasched.compose.shorthand import expand_shorthand
from rasched.errors import UsageError
from rasched.records.files import write_file
from rasched.records.output_dir import create_output_dir, is_timestamped, lock_empty_dir
from rasched.runner.batching import make_batches, validate_and_batch
from rasched.runner.local_launcher import run_and_summarize, train_locally
from rasched.runner.process_setup import import_torch
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_spec import Batch, RunSpec, make_run_specs, validate
from rasched.runner.sweep_json import Composition, SweepIndex
from rasched.runner.worker import call_in_subprocess, start_fork_server

_EXCLUDE_KEYS = "hydra.job.config.override_dirname.exclude_keys"
_BATCHED_LAUNCHER = "hydra_plugins.rasched.BatchedLauncher"


@dataclass(frozen=True)
class SweepPlan:
    """A sweep whose jobs are composed, validated and batched. Nothing is written yet."""

    composer: Composer
    overrides: list[str]
    sweep_config: DictConfig  # of the sweep as a whole, with Hydra's own node
    hydra_overrides: list[str]  # those of Hydra's own settings
    batches: list[Batch]  # none if another sweeper chooses the jobs while it runs
    num_workers: int = 0  # processes beside this one that train; 0: this process trains

    @property
    def specs(self) -> list[RunSpec]:
        """The runs in the order of their jobs."""
        return sorted((spec for batch in self.batches for spec in batch.specs), key=lambda spec: spec.job.num)


def plan_sweep(
    composer: Composer,
    overrides: Sequence[str],
    num_workers: int | None = None,
    job_overrides: Sequence[list[str]] | None = None,
) -> SweepPlan:
    """Compose all jobs of a sweep, validate them, and choose batches; a UsageError names what is wrong.

    ``num_workers`` processes train for our launcher (None: as many as the work is worth). They get ready while jobs are
    composed, so this process is not among them, unless ``num_workers`` is 1. ``job_overrides`` are the overrides of
    each job, for a sweep that is a list of jobs instead of all combinations.
    """
    mode = [] if any(o.startswith("hydra.mode=") for o in overrides) else ["hydra.mode=MULTIRUN"]
    overrides = [*expand_shorthand(overrides), *mode]
    sweep_config = composer.compose(overrides, mode=RunMode.MULTIRUN)
    for name in ("launcher", "sweeper"):
        target = OmegaConf.select(sweep_config, f"hydra.{name}._target_")
        if target is None or not is_plugin(target):
            got = "null" if target is None else target
            raise UsageError(f"hydra.{name} must be a {name}, as hydra/{name}=basic makes it, got {got}")
    if not _uses_basic_sweeper(sweep_config):
        return SweepPlan(composer, overrides, sweep_config, [], [])
    in_workers = _uses_batched_launcher(sweep_config) and num_workers != 1
    if in_workers:
        start_fork_server()
    params = sweep_config.hydra.sweeper.get("params") or {}
    hydra_overrides, lines = expand_overrides(composer, [*(f"{k}={v}" for k, v in params.items()), *overrides])
    lines = lines if job_overrides is None else [list(job) for job in job_overrides]
    if (shorter := _exclude_constants(lines)) and not any(_EXCLUDE_KEYS in o for o in hydra_overrides):
        overrides, hydra_overrides = [*overrides, shorter], [*hydra_overrides, shorter]
    jobs = JobComposer(composer, hydra_overrides, sweep_config).compose_all(lines)
    specs = make_run_specs(list(jobs))
    if any(spec.config["control"] is True for spec in specs):
        raise UsageError(
            "control=true is for a single run; a sweep has a control if one of its rules is none, as in rule=kelly,none"
        )
    if len({spec.only_scores for spec in specs}) > 1:
        raise UsageError("logger.files must be the same for all runs of a sweep")
    if in_workers:
        batches, workers = _batch_in_subprocess(specs, num_workers)
    else:
        import_torch()
        validate(specs)
        batches, workers = make_batches(specs, 1, batched=_uses_batched_launcher(sweep_config))[0], 0
    return SweepPlan(composer, overrides, sweep_config, hydra_overrides, batches, workers)


def _exclude_constants(jobs: Sequence[Sequence[str]]) -> str | None:
    """Return the override of Hydra's that leaves what all jobs share out of their folders' names."""
    constant = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    keys = [line.lstrip("+~").partition("=")[0] for line in jobs[0] if line in constant]
    return f"{_EXCLUDE_KEYS}=[{','.join(map(repr, keys))}]" if keys else None


def _batch_in_subprocess(specs: Sequence[RunSpec], num_workers: int | None) -> tuple[list[Batch], int]:
    for spec in specs:
        _ = spec.config_hash  # computed while the subprocess gets ready
    indices, workers = call_in_subprocess(validate_and_batch, specs, num_workers)
    return [Batch.of([specs[index] for index in batch], reason) for batch, reason in indices], workers


def sweep(plan: SweepPlan, progress: ProgressReporter, runs_per_job: int | None = None) -> SweepSummary:
    """Train all runs of a sweep, by our launcher or by the one that the overrides name.

    Each job of another launcher is ``runs_per_job`` runs (None: one). Failed runs are in the summary; so is an
    interrupt, by its exit code. A folder that cannot be created is a UsageError.
    """
    is_ours = _uses_batched_launcher(plan.sweep_config)
    if runs_per_job is not None and (is_ours or not _uses_basic_sweeper(plan.sweep_config)):
        raise UsageError(
            "--runs-per-job goes with another launcher's jobs: add hydra/launcher=joblib, ray or submitit_slurm"
        )
    only_scores = plan.sweep_config.logger.get("files") == "scores" or any(spec.only_scores for spec in plan.specs)
    if only_scores and not is_ours and runs_per_job is None and _uses_basic_sweeper(plan.sweep_config):
        raise UsageError(
            "logger=scores writes nothing per run, but the jobs of another launcher do: add --runs-per-job N"
        )
    sweep_dir = OmegaConf.to_container(plan.sweep_config.hydra.sweep, resolve=False)["dir"]  # type: ignore[index, call-overload]
    folder = create_output_dir(
        Path(plan.sweep_config.hydra.sweep.dir), is_timestamped(str(sweep_dir)), "hydra.sweep.dir"
    )
    batches = [batch.in_folder(folder) for batch in plan.batches]
    composition = Composition(
        plan.hydra_overrides, plan.composer.config_files, is_ours or runs_per_job is not None, runs_per_job
    )
    specs = [spec for batch in batches for spec in batch.specs]
    index = SweepIndex(folder, composition, specs, only_scores=only_scores)
    with lock_empty_dir(folder, shared=not is_ours) as lock_files:
        write_file(folder / "multirun.yaml", OmegaConf.to_yaml(plan.sweep_config))
        if is_ours:
            return run_and_summarize(
                index, progress, lambda: train_locally(batches, folder, progress, plan.num_workers, lock_files)
            )
        from rasched.runner.hydra_launchers import launch_batches_by_hydra, launch_by_hydra

        if runs_per_job is None:
            return run_and_summarize(index, progress, lambda: launch_by_hydra(plan.composer, plan.overrides, folder))
        num_jobs = -(-len(index.specs) // runs_per_job)
        return run_and_summarize(
            index, progress, lambda: launch_batches_by_hydra(plan.composer, plan.overrides, folder, num_jobs)
        )


def dry_run(plan: SweepPlan) -> tuple[list[Batch], int]:
    """Return the batches that the sweep would train, and in how many processes; nothing is written."""
    if not _uses_basic_sweeper(plan.sweep_config):
        raise UsageError("--dry-run knows the jobs of Hydra's basic sweeper only: this one chooses them as it goes")
    return plan.batches, max(1, plan.num_workers)


def _uses_basic_sweeper(sweep_config: DictConfig) -> bool:
    """Return whether the jobs are a list, by Hydra's basic sweeper."""
    return bool(sweep_config.hydra.sweeper._target_ == BASIC_SWEEPER)


def _uses_batched_launcher(sweep_config: DictConfig) -> bool:
    """Return whether the jobs are a list for our launcher."""
    return _uses_basic_sweeper(sweep_config) and bool(sweep_config.hydra.launcher._target_ == _BATCHED_LAUNCHER)
