"""Many runs from one line of words: all checked before one starts, a folder each, and an index above them.

The processes that train import torch, and this one only if it is to train; so nothing here does so at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from rasched.analysis.seed_bands import write_seed_bands
from rasched.analysis.sweep_table import SweepSummary
from rasched.compose.hparams import hyperparameters
from rasched.errors import RunFailed, Terminated, UsageError
from rasched.records.lock import lock_dir
from rasched.records.output_dir import create_output_dir, is_timestamped
from rasched.records.run_json import GitState
from rasched.runner.asked import SweepPlan
from rasched.runner.process_setup import import_torch
from rasched.runner.progress import Feed, Progress
from rasched.runner.run_spec import Batch_, RunSpec, make_run_specs
from rasched.runner.sweep_json import SweepIndex, Words, sweep_exit_code
from rasched.runner.worker import call_in_subprocess
from rasched.runner.worker_pool import train_in_workers


def sweep(asked: SweepPlan, progress: Progress, shard: int | None = None) -> SweepSummary:
    """Run all jobs of the sweep, by our launcher or by the one that the overrides name.

    Each job of another launcher is ``shard`` runs (None: one). Wrong settings in any job are a UsageError before
    anything is written. Failed runs are in the summary; so is an interrupt, by its exit code.
    """
    composer, master, lines = asked.composer, asked.master, asked.lines
    if shard is not None and (asked.is_ours or not asked.is_basic):
        raise UsageError(
            "--runs-per-job goes with another launcher's jobs: add hydra/launcher=joblib, ray or submitit_slurm"
        )
    plans = make_run_specs(asked.jobs)
    for plan in plans:
        _ = plan.identity  # while the workers get ready
    tiles, workers = checked(plans, asked)
    folder = create_output_dir(Path(master.hydra.sweep.dir), is_timestamped(_template(master)), "hydra.sweep.dir")
    for plan in plans:
        plan.folder = folder / plan.folder
    words = Words(asked.own, composer.files, asked.is_ours or shard is not None, shard)
    index = SweepIndex(folder, words, plans)
    with lock_dir(folder) as held:
        OmegaConf.save(master, folder / "multirun.yaml")
        if asked.is_ours:
            return finish(index, progress, lambda: launch(tiles, folder, progress, workers, held))
        from rasched.runner.hydra_launchers import launch_batches_by_hydra, launch_by_hydra

        if shard is not None:
            return finish(
                index, progress, lambda: launch_batches_by_hydra(composer, lines, folder, -(-len(plans) // shard))
            )
        return finish(index, progress, lambda: launch_by_hydra(composer, lines, folder))


def dry_run(asked: SweepPlan) -> tuple[list[Batch_], int]:
    """Return the batches that the sweep would train and in how many processes; nothing is written."""
    if not asked.is_basic:
        raise UsageError("--dry-run knows the jobs of Hydra's basic sweeper only: this one chooses them as it goes")
    tiles, workers = checked(make_run_specs(asked.jobs), asked)
    return tiles, max(1, workers)


def checked(plans: Sequence[RunSpec], asked: SweepPlan) -> tuple[list[Batch_], int]:
    """Return the batches of plans that were checked, and how many workers are to train them (0: this process is).

    A UsageError names the job whose settings are wrong.
    """
    if asked.workers:
        found, workers = call_in_subprocess("rasched.runner.batching", "cut_by_place", list(plans), asked.workers)
        for places, _, stacked in found:
            for place in places:
                plans[place].stacked = stacked
        return [Batch_([plans[place] for place in places], alone) for places, alone, _ in found], workers
    import_torch()
    from rasched.runner.batching import cut
    from rasched.runner.run_spec import validate_run_specs

    validate_run_specs(plans)
    return cut(plans, 1, stacked=asked.is_ours)[0], 0


def launch(
    tiles: Sequence[Batch_], folder: Path, progress: Progress, workers: int = 0, held: Sequence[int] = ()
) -> None:
    """Train the batches of a sweep, each run in its folder."""
    git = GitState(folder)
    plans = [plan for tile in tiles for plan in tile.plans]
    with progress:
        progress.begin(len(plans), sum(plan.config["steps"] for plan in plans))
        if workers:
            train_in_workers(tiles, workers, progress, git, held)
            return
        from rasched.runner.run_batch import execute

        for tile in tiles:
            results = execute(tile.plans, Feed(progress), git)
            progress.ended([result.ended() for result in results])


def finish(index: SweepIndex, progress: Progress, run: Callable[[], None]) -> SweepSummary:
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
        write_seed_bands(index.folder, rows, [hyperparameters(plan.config) for plan in index.plans], progress.means)
    summary = SweepSummary(index.folder, rows, index.wall_time(), stopped or sweep_exit_code(rows))
    index.write("interrupted" if stopped else "failed" if summary.exit_code else "done", rows, summary.exit_code)
    if gave_up is not None:
        raise gave_up
    return summary


def _template(master: DictConfig) -> str:
    plain = OmegaConf.to_container(master.hydra.sweep, resolve=False)
    assert isinstance(plain, dict)
    return str(plain["dir"])
