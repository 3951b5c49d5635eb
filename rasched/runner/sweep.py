"""Many runs from one line of words: all checked before one starts, a folder each, and an index above them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rasched.runner.compose import Composer
from rasched.runner.errors import RunFailed, Terminated, UsageError
from rasched.runner.execute import Plan, execute
from rasched.runner.folders import is_dated, reserve
from rasched.runner.index import Index, Words, worst
from rasched.runner.jobs import JobComposer, split
from rasched.runner.lock import locked
from rasched.runner.processes import train_in_processes
from rasched.runner.progress import Feed, Progress
from rasched.runner.record import Git
from rasched.runner.settings import logger_settings, run_settings, try_out
from rasched.runner.table import Summary
from rasched.runner.tiles import Tile, cut

_OURS = "hydra_plugins.rasched.StackedLauncher"
_BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def sweep(
    composer: Composer,
    overrides: Sequence[str],
    progress: Progress,
    processes: int | None = None,
    shard: int | None = None,
) -> Summary:
    """Run all jobs of the sweep, by our launcher or by the one that the overrides name.

    ``processes`` train for our launcher (None: as many as the work is worth); each job of another one is ``shard`` runs
    (None: one). Wrong settings in any job are a UsageError before anything is written. Failed runs are in the summary;
    so is an interrupt, by its exit code.
    """
    lines, master = _master(composer, overrides)
    is_ours = master.hydra.launcher._target_ == _OURS and _is_basic(master)
    if shard is not None and (is_ours or not _is_basic(master)):
        raise UsageError("--shard goes with another launcher's jobs: add hydra/launcher=joblib, ray or submitit_slurm")
    own, plans = prepare(composer, master, lines) if _is_basic(master) else ([], [])
    folder = reserve(Path(master.hydra.sweep.dir), is_dated(_template(master)), "hydra.sweep.dir")
    for plan in plans:
        plan.folder = folder / plan.folder
    index = Index(folder, Words(own, composer.files, is_ours or shard is not None, shard), plans)
    with locked(folder) as held:
        OmegaConf.save(master, folder / "multirun.yaml")
        if is_ours:
            return finish(index, lambda: launch(plans, folder, progress, processes, held))
        from rasched.runner.foreign import launch_by_hydra, launch_shards

        if shard is not None:
            return finish(index, lambda: launch_shards(composer, lines, folder, -(-len(plans) // shard)))
        return finish(index, lambda: launch_by_hydra(composer, lines, folder))


def dry_run(composer: Composer, overrides: Sequence[str], processes: int | None = None) -> tuple[list[Tile], int]:
    """Return the batches that the sweep would train and in how many processes; nothing is written."""
    lines, master = _master(composer, overrides)
    if not _is_basic(master):
        raise UsageError("--dry-run knows the jobs of Hydra's basic sweeper only: this one chooses them as it goes")
    _, plans = prepare(composer, master, lines)
    return cut(plans, processes, stacked=master.hydra.launcher._target_ == _OURS)


def prepare(composer: Composer, master: DictConfig, overrides: Sequence[str]) -> tuple[list[str], list[Plan]]:
    """Compose and check all jobs; their folders are names under the sweep's, and nothing is written.

    Returns Hydra's own overrides too.
    """
    params = master.hydra.sweeper.get("params") or {}
    own, jobs = split(composer, [*(f"{k}={v}" for k, v in params.items()), *overrides])
    return own, checked(JobComposer(composer, own, master), list(enumerate(jobs)))


def checked(jobs: JobComposer, overrides: Sequence[tuple[int, Sequence[str]]]) -> list[Plan]:
    """Return the numbered jobs as plans; a UsageError names the job whose settings are wrong."""
    plans = []
    for num, lines in overrides:
        job = jobs.compose(lines, num)
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


def _master(composer: Composer, overrides: Sequence[str]) -> tuple[list[str], DictConfig]:
    mode = [] if any(o.startswith("hydra.mode=") for o in overrides) else ["hydra.mode=MULTIRUN"]
    lines = [*overrides, *mode]
    return lines, composer.compose(lines, mode=RunMode.MULTIRUN)


def _is_basic(master: DictConfig) -> bool:
    return bool(master.hydra.sweeper._target_ == _BASIC)


def _template(master: DictConfig) -> str:
    plain = OmegaConf.to_container(master.hydra.sweep, resolve=False)
    assert isinstance(plain, dict)
    return str(plain["dir"])
