"""A job as it was composed, a run that can start, and runs that train together: Hydra is over, torch not begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.compose.config_hash import flat, identity
from rasched.compose.job import Job
from rasched.errors import UsageError

if TYPE_CHECKING:
    from rasched.compose.settings import LoggerSettings
    from rasched.train.settings import RunSettings


@dataclass
class RunSpec:
    """A run that can start."""

    config: Mapping[str, Any]
    overrides: list[str]
    folder: Path
    job: Job | None = None  # None where Hydra has written .hydra/ itself
    stacked: bool = False  # as one of a batch, even where the batch has no other
    again: bool = False  # an earlier try may have left records
    state: Mapping[str, Any] | None = None  # of a single run that carries on from a checkpoint

    @cached_property
    def identity(self) -> str:
        """The hash of the settings that decide the run's numbers."""
        return identity(flat(self.config))

    @cached_property
    def settings(self) -> RunSettings:
        """What is trained; a UsageError where a setting is wrong."""
        from rasched.compose.settings import run_settings

        return run_settings(self.config)

    @cached_property
    def logger(self) -> LoggerSettings:
        """What is written of it; a UsageError likewise."""
        from rasched.compose.settings import logger_settings

        return logger_settings(self.config)


def make_run_specs(jobs: Sequence[Job]) -> list[RunSpec]:
    """Return the jobs of a sweep as plans, not yet checked; their folders are names under the sweep's."""
    plans = [RunSpec(job.config, job.overrides, Path(job.subdir), job) for job in jobs]
    if len({plan.folder for plan in plans}) < len(plans):
        raise UsageError("several jobs would write to one folder; put ${hydra.job.num} into hydra.sweep.subdir")
    return plans


@dataclass(frozen=True)
class Batch_:
    """Runs that train as one batch."""

    plans: list[RunSpec]
    alone: str | None = None  # why its only run has no neighbours


def validate_run_specs(specs: Sequence[RunSpec]) -> None:
    """Construct what is trained, and throw it away, so that wrong settings show before anything is written.

    Raises UsageError, which names the job. Runs that may share a batch differ in nothing that construction looks at, so
    one run of each batch is enough: one that records a video, if there is one.
    """
    from rasched.compose.settings import as_usage_error
    from rasched.train import loop
    from rasched.train.batching import group_into_batches

    for spec in specs:
        try:
            _ = spec.settings, spec.logger
        except UsageError as error:
            if spec.job is None or len(specs) == 1:
                raise
            raise UsageError(f"job {spec.job.num} ({' '.join(spec.job.overrides)}): {error}") from error
    for indices in group_into_batches([spec.settings for spec in specs]):
        spec = max((specs[index] for index in indices), key=lambda spec: spec.logger.video)
        with as_usage_error():
            loop.dry_construct(spec.settings, records_video=spec.logger.video)
