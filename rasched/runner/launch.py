"""The stacked launcher's work, for Hydra's other sweepers: a batch of jobs, each with the result that Hydra expects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from rasched.runner import sweep
from rasched.runner.compose import Composer
from rasched.runner.execute import Plan
from rasched.runner.jobs import JobComposer
from rasched.runner.watch import Watch


def launch(loader: Any, master: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
    """Train the jobs in batches and return their results in order; a failed run's value is NaN."""
    folder = Path(str(master.hydra.sweep.dir))
    composer = Composer(loader, master.hydra.job.config_name)
    plans = sweep.checked(JobComposer(composer, list(master.hydra.overrides.hydra), master), jobs, first)
    for plan in plans:
        plan.folder = folder / plan.folder
    sweep.launch(plans, folder, Watch())
    rows = sweep.rows_of(folder, plans)
    return [_returned(plan, row) for plan, row in zip(plans, rows, strict=True)]


def _returned(plan: Plan, row: dict[str, Any]) -> JobReturn:
    value = row["scores"].get("reward_last_tenth", math.nan) if row["status"] == "done" else math.nan
    config = OmegaConf.create(dict(plan.config))
    done = JobReturn(plan.overrides, config, None, str(plan.folder), "rasched", JobStatus.COMPLETED)
    done.return_value = value
    return done
