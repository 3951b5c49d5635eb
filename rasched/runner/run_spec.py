"""RunSpec and Batch: the data passed from config composition to training. Imports neither Hydra nor torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.compose.job import Job
from rasched.errors import UsageError

if TYPE_CHECKING:
    from rasched.compose.settings import LoggerSettings
    from rasched.train.settings import RunSettings


@dataclass(frozen=True, eq=False)
class RunSpec:
    """A run that can be trained. ``folder`` is a name until :meth:`Batch.in_folder` puts it below a sweep's folder."""

    job: Job
    folder: Path
    batched: bool = False  # trained as one of a batch, even if the batch has no other run
    is_retry: bool = False  # an earlier attempt may have left records
    state: Mapping[str, Any] | None = None  # the checkpoint that a single run continues from
    sweep_folder: Path | None = None  # None until the sweep has one, and for a single run

    @property
    def config(self) -> Mapping[str, Any]:
        """The composed configuration."""
        return self.job.config

    @property
    def overrides(self) -> tuple[str, ...]:
        """The user's overrides."""
        return self.job.overrides

    @property
    def config_hash(self) -> str:
        """The hash of the settings that decide the run's numbers."""
        return self.job.config_hash

    @property
    def settings(self) -> RunSettings:
        """The settings to train with; a UsageError names a wrong one."""
        return self.job.settings

    @property
    def logger(self) -> LoggerSettings:
        """The settings of what is written; a UsageError names a wrong one."""
        return self.job.logger

    @property
    def only_scores(self) -> bool:
        """Whether its scores go into the sweep's index, and no file is written for it."""
        return bool(self.config["logger"].get("files") == "scores")

    @property
    def name(self) -> str:
        """The name of its folder inside its sweep's."""
        return str(self.folder if self.sweep_folder is None else self.folder.relative_to(self.sweep_folder))

    @property
    def first_step(self) -> int:
        """The environment step that the run continues from; 0 for a new run."""
        return int(self.state["step"]) if self.state else 0


@dataclass(frozen=True)
class Batch:
    """Runs that train together."""

    specs: tuple[RunSpec, ...]
    unbatchable_reason: str | None = None  # why its only run cannot share a batch

    @classmethod
    def of(cls, specs: Sequence[RunSpec], unbatchable_reason: str | None) -> Batch:
        """Return a batch whose runs know that they are batched, unless there is a reason against it."""
        batched = unbatchable_reason is None
        return cls(tuple(replace(spec, batched=batched) for spec in specs), unbatchable_reason)

    def in_folder(self, folder: Path) -> Batch:
        """Return the same batch with the runs' folders below a sweep's folder."""
        specs = (replace(spec, folder=folder / spec.folder, sweep_folder=folder) for spec in self.specs)
        return replace(self, specs=tuple(specs))


def make_run_specs(jobs: Sequence[Job]) -> list[RunSpec]:
    """Return the runs of a sweep, not validated yet; their folders are names below the sweep's folder."""
    specs = [RunSpec(job, Path(job.subdir)) for job in jobs]
    for spec in specs:
        if not is_inside(spec.folder):
            raise UsageError(f"hydra.sweep.subdir must name a folder inside the sweep's, got {str(spec.folder)!r}")
    if len({spec.folder for spec in specs}) < len(specs):
        raise UsageError("several jobs would write to one folder; put ${hydra.job.num} into hydra.sweep.subdir")
    return specs


def validate(specs: Sequence[RunSpec]) -> None:
    """Construct what is trained, and discard it, so that wrong settings show before anything is written.

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
            if len(specs) == 1:
                raise
            raise UsageError(f"job {spec.job.num} ({' '.join(spec.overrides)}): {error}") from error
    for indices in group_into_batches([spec.settings for spec in specs]):
        spec = max((specs[index] for index in indices), key=lambda spec: spec.logger.video)
        with as_usage_error(), _explain_sizes():
            loop.dry_construct(spec.settings, records_video=spec.logger.video)


def is_inside(relative: Path | str) -> bool:
    """Return whether a relative path, read from a file or typed, names something below the folder it is joined to."""
    parts = str(relative).split("/")
    return "\0" not in str(relative) and all(part not in ("", ".", "..") for part in parts)


@contextmanager
def _explain_sizes() -> Iterator[None]:
    """Turn what torch and NumPy raise for tensors that do not fit into a UsageError."""
    try:
        yield
    except (MemoryError, OverflowError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"the agent or the environment cannot be made in this size; choose a smaller one: {reason}"
        ) from error
