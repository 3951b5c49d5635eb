"""The launcher by which Hydra's own sweepers train their jobs in batches: ``hydra/launcher=batched``.

Hydra accepts launchers only from modules named ``hydra_plugins.*`` and imports them for every Hydra application of the
environment, so nothing heavy may be imported at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class BatchedLauncher(Launcher):
    """Train all jobs of a batch over a leading run axis; each leaves the folder that the basic launcher would leave."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Remember what Hydra hands over; called once before the jobs."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return one result each, in their order."""
        from rasched.runner.hydra_launchers import LauncherTask, launch_for_sweeper

        if not isinstance(self.task_function, LauncherTask):
            raise CompactHydraException(
                "hydra/launcher=batched trains only rasched's own runs; choose another, as hydra/launcher=basic"
            )

        results: Any = launch_for_sweeper(self.hydra_context.config_loader, self.config, job_overrides, initial_job_idx)
        return list(results)
