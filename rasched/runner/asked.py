"""A sweep as it was asked for: its jobs are composed, none is checked, and torch is not imported yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hydra.types import RunMode
from omegaconf import DictConfig

from rasched.compose.composer import Composer
from rasched.compose.job import Job
from rasched.compose.jobs import JobComposer, split
from rasched.runner.cost import suggest_num_workers
from rasched.runner.worker import start_fork_server

_OURS = "hydra_plugins.rasched.BatchedLauncher"
_BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class SweepPlan:
    """The words of a sweep, and what they compose."""

    composer: Composer
    lines: list[str]
    master: DictConfig  # with Hydra's own node, for the sweep as a whole
    own: list[str]  # the overrides of Hydra's own settings
    jobs: list[Job]  # none where another sweeper chooses them as it goes
    workers: int = 0  # processes beside this one that train them; 0: this one does

    @property
    def is_basic(self) -> bool:
        """Whether the jobs are a list, by Hydra's basic sweeper."""
        return bool(self.master.hydra.sweeper._target_ == _BASIC)

    @property
    def is_ours(self) -> bool:
        """Whether the jobs are for our launcher."""
        return self.is_basic and bool(self.master.hydra.launcher._target_ == _OURS)


def ask(composer: Composer, overrides: Sequence[str], processes: int | None = None) -> SweepPlan:
    """Compose all jobs of a sweep; a UsageError says which override is wrong.

    ``processes`` train for our launcher (None: as many as the work is worth). They get ready while jobs are composed,
    so this process is not among them, unless it was asked to train alone.
    """
    mode = [] if any(o.startswith("hydra.mode=") for o in overrides) else ["hydra.mode=MULTIRUN"]
    lines = [*overrides, *mode]
    master = composer.compose(lines, mode=RunMode.MULTIRUN)
    asked = SweepPlan(composer, lines, master, [], [])
    if not asked.is_basic:
        return asked
    params = master.hydra.sweeper.get("params") or {}
    own, words = split(composer, [*(f"{k}={v}" for k, v in params.items()), *lines])
    workers = 0
    if asked.is_ours and processes != 1:
        workers = processes or suggest_num_workers(len(words), master)
        start_fork_server()
    jobs = list(JobComposer(composer, own, master).all(words))
    return replace(asked, own=own, jobs=jobs, workers=workers)
