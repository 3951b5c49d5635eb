"""Train by launchers and sweepers other than ours, and by our launcher for Hydra's other sweepers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from rasched.compose import plugins
from rasched.compose.composer import Composer
from rasched.compose.hydra_compat import make_callbacks, make_hydra
from rasched.compose.job import Job
from rasched.compose.jobs import JobComposer
from rasched.errors import RunFailed, UsageError
from rasched.records.output_dir import lock_dir
from rasched.records.primary_score import primary_score
from rasched.records.provenance import GitState
from rasched.records.run_json import RunJson, now
from rasched.runner.batching import make_batches
from rasched.runner.local_launcher import train_locally
from rasched.runner.process_setup import tune_malloc
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_records import read_records
from rasched.runner.run_spec import RunSpec, make_run_specs, validate
from rasched.train.run_result import RunStatus


@dataclass(frozen=True)
class LauncherTask:
    """The task function of another launcher's jobs.

    A worker process unpickles it before it names the job's folder, which needs our resolver; so unpickling registers
    what Hydra must know.
    """

    function: Callable[[DictConfig], float]

    def __call__(self, config: DictConfig) -> float:
        """Train a job, and return its score."""
        return self.function(config)

    def __reduce__(self) -> tuple[Any, ...]:
        return _make_task, (self.function,)


def _make_task(function: Callable[[DictConfig], float]) -> LauncherTask:
    plugins.register()
    return LauncherTask(function)


def launch_by_hydra(composer: Composer, overrides: Sequence[str], folder: Path) -> None:
    """Let Hydra launch the jobs into the sweep's folder.

    A launcher's own failure (a worker killed, a cluster that does not answer) is a RunFailed.
    """
    hydra = make_hydra(composer.loader)
    sweep_dir = f"hydra.sweep.dir='{_escape_quotes(folder)}'"
    try:
        hydra.multirun(composer.config_name, _make_task(run_job), [*overrides, sweep_dir])
    except Exception as error:
        raise _launcher_error(error) from error


def launch_batches_by_hydra(composer: Composer, overrides: Sequence[str], folder: Path, num_jobs: int) -> None:
    """Let Hydra launch jobs, each of which trains its part of the sweep's index.

    What Hydra itself writes of a job stands in ``.shards/``, apart from the runs. A launcher's own failure is a
    RunFailed.
    """
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode

    config = composer.compose(overrides, mode=RunMode.MULTIRUN)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.sweep.dir = str(folder.absolute())
        config.hydra.sweep.subdir = ".shards/${hydra.job.num}"
    HydraConfig.instance().set_config(config)
    context = HydraContext(config_loader=composer.loader, callbacks=make_callbacks(config))
    try:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=_make_task(run_launcher_batch), config=config
        )
        dirs = [f"hydra.sweep.dir='{_escape_quotes(folder)}'", "hydra.sweep.subdir='.shards/${hydra.job.num}'"]
        launcher.launch([dirs for _ in range(num_jobs)], initial_job_idx=0)
    except Exception as error:
        raise _launcher_error(error) from error


def run_launcher_batch(config: DictConfig) -> int:
    """Train one job's part of a sweep as batches, in a process of the launcher's; return the number of failed runs.

    Finished runs are left alone, so a job that a cluster starts again continues where it was.
    """
    from rasched.runner.resume import recompose, select_unfinished
    from rasched.runner.sweep_json import read_index

    tune_malloc()
    hydra = HydraConfig.get()
    folder, job_index = Path(hydra.sweep.dir), int(hydra.job.num)
    index = read_index(folder)
    size = index["composition"]["runs_per_job"]
    nums = range(job_index * size, min((job_index + 1) * size, len(index["runs"])))
    with lock_dir(folder, shared=True):
        specs = select_unfinished(folder, recompose(folder, index, nums, trust=True))
        train_locally(make_batches(specs, 1)[0], folder, ProgressReporter())
        return len(select_unfinished(folder, specs))


def run_job(config: DictConfig) -> float:
    """Train one job in a process of the launcher's; Hydra has made its folder and written ``.hydra/``.

    Returns the run's score, which a sweeper that searches maximises. A failed run returns NaN, since an exception would
    end the sweep for the other runs too.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = tuple(str(line) for line in hydra.overrides.task)
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    job = Job(int(hydra.job.num), overrides, {str(key): value for key, value in plain.items()})
    with lock_dir(Path(hydra.sweep.dir), shared=True):
        return _train_job(job, folder)


def _train_job(job: Job, folder: Path) -> float:
    from rasched.runner.run_batch import train_batch

    spec = RunSpec(job, folder)
    try:
        if spec.only_scores:
            raise UsageError(
                "logger=scores writes nothing per run, but each job of another launcher does: leave it out"
            )
        (result,) = train_batch([spec], ProgressReporter(), GitState(folder))
        value = primary_score(result.scores)
        return math.nan if value is None else value
    except UsageError as error:
        refused = {"status": RunStatus.FAILED, "exit_code": UsageError.exit_code, "error": str(error)}
        RunJson(folder, **refused, overrides=job.overrides, scores={}, started_at=now()).update()
    return math.nan


def launch_for_sweeper(
    loader: Any, sweep_config: DictConfig, jobs: Sequence[Sequence[str]], first: int
) -> list[JobReturn]:
    """Train jobs that one of Hydra's other sweepers chose, and return their results in order; a failed run's is NaN."""
    composer = Composer(loader, sweep_config.hydra.job.config_name)
    # unresolved: an override may itself hold an interpolation, such as hydra.sweep.subdir=${hydra.job.num}
    lines = OmegaConf.to_container(sweep_config.hydra.overrides.hydra, resolve=False)
    hydra_overrides = [str(line) for line in lines or ()]
    specs = make_run_specs(list(JobComposer(composer, hydra_overrides, sweep_config).compose_all(jobs, first)))
    validate(specs)
    folder = Path(str(sweep_config.hydra.sweep.dir))
    batches = [batch.in_folder(folder) for batch in make_batches(specs, 1)[0]]
    train_locally(batches, folder, ProgressReporter())
    specs = [replace(spec, folder=folder / spec.folder, sweep_folder=folder) for spec in specs]
    return [_job_return(spec, record) for spec, record in zip(specs, read_records(specs), strict=True)]


def _job_return(spec: RunSpec, record: Mapping[str, Any]) -> JobReturn:
    value = primary_score(record["scores"]) if record.get("status") == RunStatus.DONE else None
    config = OmegaConf.create(dict(spec.config))
    hydra_config = OmegaConf.create({"hydra": dict(spec.job.hydra or {})})
    result = JobReturn(list(spec.overrides), config, hydra_config, str(spec.folder), "rasched", JobStatus.COMPLETED)
    result.return_value = math.nan if value is None else value
    return result


def _launcher_error(error: Exception) -> RunFailed:
    return RunFailed(f"the launcher gave up: {type(error).__name__}: {error}")


def _escape_quotes(folder: Path) -> str:
    return str(folder.absolute()).replace("\\", "\\\\").replace("'", "\\'")
