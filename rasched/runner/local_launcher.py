"""Train the batches of a sweep on this machine, and complete the sweep's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rasched.analysis.run_folder import POLICY, Run
from rasched.analysis.score_choice import best_index
from rasched.analysis.seed_bands import write_seed_bands
from rasched.analysis.sweep_table import SweepSummary, write_score_table
from rasched.compose.config_hash import hyperparameters, trial_group
from rasched.errors import RunFailed, Terminated
from rasched.records.provenance import GitState
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_spec import Batch
from rasched.runner.sweep_json import SweepIndex, sweep_exit_code
from rasched.runner.worker_pool import train_in_workers
from rasched.train.run_result import RunStatus


def train_locally(
    batches: Sequence[Batch],
    folder: Path,
    progress: ProgressReporter,
    num_workers: int = 0,
    open_files: Sequence[int] = (),
) -> None:
    """Train batches in workers, or in this process if ``num_workers`` is 0; each run writes into its folder."""
    git = GitState(folder)
    specs = [spec for batch in batches for spec in batch.specs]
    with progress:
        num_steps = sum(spec.config["steps"] for spec in specs)
        progress.begin(len(specs), num_steps, [spec.overrides for spec in specs])
        if num_workers:
            train_in_workers(batches, num_workers, progress, git, open_files)
            return
        from rasched.runner.run_batch import train_batch

        for batch in batches:
            progress.complete(train_batch(batch.specs, progress, git))


def run_and_summarize(index: SweepIndex, progress: ProgressReporter, train: Callable[[], None]) -> SweepSummary:
    """Call ``train``, then write the index from the runs' records, and the mean curves over seeds."""
    interrupted = 0
    launcher_error: RunFailed | None = None
    index.write(RunStatus.RUNNING, index.rows())
    try:
        train()
    except KeyboardInterrupt:
        interrupted = 130
    except Terminated:
        interrupted = Terminated.exit_code
    except RunFailed as error:  # of a launcher, or a full disk; the runs that are finished are good
        launcher_error = error
    if launcher_error is not None:
        with suppress(OSError):
            index.write(RunStatus.FAILED, index.rows(), RunFailed.exit_code)
        raise launcher_error
    rows = index.rows()
    if index.only_scores:
        write_score_table(index.folder, index.common_settings, rows)
    elif not interrupted:
        delete_other_policies(index.folder, rows)
        hparams = [hyperparameters(spec.config) for spec in index.specs]
        trial_groups = [trial_group(spec.config) for spec in index.specs]
        write_seed_bands(index.folder, rows, hparams, trial_groups, progress.curves)
    settings = index.common_settings if index.only_scores else None
    summary = SweepSummary(index.folder, rows, index.wall_time(), interrupted or sweep_exit_code(rows), settings)
    index.write(_sweep_status(interrupted, summary.exit_code), rows, summary.exit_code)
    return summary


def delete_other_policies(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep the policy of the best run of a sweep, and of runs with ``logger.keep_policy=all``.

    Each batch has kept that of its best run.
    """
    with_policy = [row for row in rows if (folder / row["folder"] / POLICY).is_file()]
    best = best_index([row["scores"] for row in with_policy])
    for index, row in enumerate(with_policy):
        run = folder / row["folder"]
        if index != best and Run(run).config.get("logger", {}).get("keep_policy") == "best":
            (run / POLICY).unlink()


def _sweep_status(interrupted: int, exit_code: int) -> RunStatus:
    if interrupted:
        return RunStatus.INTERRUPTED
    return RunStatus.FAILED if exit_code else RunStatus.DONE
