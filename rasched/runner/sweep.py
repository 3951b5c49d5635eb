"""Many runs from one line of words: all checked before one starts, a folder each, and an index above them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from rasched.runner.asked import Asked
from rasched.runner.errors import RunFailed, Terminated, UsageError
from rasched.runner.execute import Plan, execute
from rasched.runner.folders import is_dated, reserve
from rasched.runner.index import Index, Words, worst
from rasched.runner.jobs import Job
from rasched.runner.lock import locked
from rasched.runner.processes import train_in_processes
from rasched.runner.progress import Feed, Progress
from rasched.runner.record import Git
from rasched.runner.settings import logger_settings, run_settings, try_out
from rasched.runner.table import Summary
from rasched.runner.tiles import Tile, cut


def sweep(asked: Asked, progress: Progress, processes: int | None = None, shard: int | None = None) -> Summary:
    """Run all jobs of the sweep, by our launcher or by the one that the overrides name.

    ``processes`` train for our launcher (None: as many as the work is worth); each job of another one is ``shard`` runs
    (None: one). Wrong settings in any job are a UsageError before anything is written. Failed runs are in the summary;
    so is an interrupt, by its exit code.
    """
    composer, master, lines = asked.composer, asked.master, asked.lines
    if shard is not None and (asked.is_ours or not asked.is_basic):
        raise UsageError("--shard goes with another launcher's jobs: add hydra/launcher=joblib, ray or submitit_slurm")
    plans = checked(asked.jobs)
    folder = reserve(Path(master.hydra.sweep.dir), is_dated(_template(master)), "hydra.sweep.dir")
    for plan in plans:
        plan.folder = folder / plan.folder
    words = Words(asked.own, composer.files, asked.is_ours or shard is not None, shard)
    index = Index(folder, words, plans)
    with locked(folder) as held:
        OmegaConf.save(master, folder / "multirun.yaml")
        if asked.is_ours:
            return finish(index, lambda: launch(plans, folder, progress, processes, held))
        from rasched.runner.foreign import launch_by_hydra, launch_shards

        if shard is not None:
            return finish(index, lambda: launch_shards(composer, lines, folder, -(-len(plans) // shard)))
        return finish(index, lambda: launch_by_hydra(composer, lines, folder))


def dry_run(asked: Asked, processes: int | None = None) -> tuple[list[Tile], int]:
    """Return the batches that the sweep would train and in how many processes; nothing is written."""
    if not asked.is_basic:
        raise UsageError("--dry-run knows the jobs of Hydra's basic sweeper only: this one chooses them as it goes")
    return cut(checked(asked.jobs), processes, stacked=asked.is_ours)


def checked(jobs: Sequence[Job]) -> list[Plan]:
    """Return the jobs as plans, with folders that are names under the sweep's; nothing is written.

    A UsageError names the job whose settings are wrong.
    """
    plans = []
    for job in jobs:
        try:
            settings, logger = run_settings(job.config), logger_settings(job.config)
        except UsageError as error:
            raise UsageError(f"job {job.num} ({' '.join(job.overrides)}): {error}") from error
        plans.append(Plan(job.config, job.overrides, settings, logger, Path(job.subdir), job))
    if len({plan.folder for plan in plans}) < len(plans):
        raise UsageError("several jobs would write to one folder; put ${hydra.job.num} into hydra.sweep.subdir")
    try_out([plan.settings for plan in plans], [plan.config for plan in plans], [plan.logger for plan in plans])
    return plans


def launch(
    plans: Sequence[Plan],
    folder: Path,
    progress: Progress,
    processes: int | None = 1,
    held: Sequence[int] = (),
    stacked: bool = True,
) -> None:
    """Train the plans of a sweep in batches, each in its folder."""
    git = Git(folder)
    tiles, processes = cut(plans, processes, stacked)
    with progress:
        progress.begin(len(plans), sum(plan.settings.steps for plan in plans))
        if processes > 1:
            train_in_processes(tiles, processes, progress, git, held)
            return
        for tile in tiles:
            results = execute(tile.plans, Feed(progress), git)
            progress.ended([result.ended() for result in results])


def finish(index: Index, run: Callable[[], None]) -> Summary:
    """Run the jobs, then read their records, write the index, and draw the seeds of each setting together."""
    stopped = 0
    gave_up: RunFailed | None = None
    index.write("running", index.rows())
    try:
        run()
    except KeyboardInterrupt:
        stopped = 130
    except Terminated:
        stopped = Terminated.exit_code
    except RunFailed as error:  # the launcher; the runs that it did finish are good
        gave_up = error
    rows = index.rows()
    if not stopped:
        from rasched.runner.together import draw_together

        draw_together(index.folder, rows, [plan.config for plan in index.plans])
    summary = Summary(index.folder, rows, index.wall_time(), stopped or worst(rows))
    index.write("interrupted" if stopped else "failed" if summary.exit_code else "done", rows, summary.exit_code)
    if gave_up is not None:
        raise gave_up
    return summary


def _template(master: DictConfig) -> str:
    plain = OmegaConf.to_container(master.hydra.sweep, resolve=False)
    assert isinstance(plain, dict)
    return str(plain["dir"])
