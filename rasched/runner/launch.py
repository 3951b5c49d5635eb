"""The stacked launcher's work, for Hydra's other sweepers: a batch of jobs, each with the result that Hydra expects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from rasched.analysis.sweep_table import score
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.records.run_json import read_record
from rasched.runner import sweep
from rasched.runner.batching import cut
from rasched.runner.progress import Progress
from rasched.runner.run_spec import RunSpec, make_run_specs, validate_run_specs


def launch(loader: Any, master: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Train the jobs in batches and return their results in order; a failed run's value is NaN."""
    folder = Path(str(master.hydra.sweep.dir))
    composer = Composer(loader, master.hydra.job.config_name)
    hydra = list(master.hydra.overrides.hydra)
    plans = make_run_specs(list(JobComposer(composer, hydra, master).all(jobs, first)))
    validate_run_specs(plans)
    for plan in plans:
        plan.folder = folder / plan.folder
    tiles, _ = cut(plans, 1)
    sweep.launch(tiles, folder, Progress())
    return [_returned(plan) for plan in plans]


def _returned(plan: RunSpec) -> JobReturn:
    record = read_record(plan.folder)
    value = score(record["scores"]) if record.get("status") == "done" else None
    config = OmegaConf.create(dict(plan.config))
    done = JobReturn(plan.overrides, config, None, str(plan.folder), "rasched", JobStatus.COMPLETED)
    done.return_value = math.nan if value is None else value
    return done
