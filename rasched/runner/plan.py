"""A job as it was composed, a run that can start, and runs that train together: Hydra is over, torch not begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.runner.errors import UsageError
from rasched.runner.identity import flat, identity
from rasched.runner.yamls import Sections, strings

if TYPE_CHECKING:
    from rasched.runner.settings import LoggerSettings
    from rasched.train.settings import RunSettings


@dataclass(slots=True)
class Job:
    """One job, composed. Plain containers, shared with its neighbours where they are equal: read them, never write."""

    num: int
    overrides: list[str]  # the user's, without those of Hydra's own settings
    config: dict[str, Any]  # resolved
    hydra: dict[str, Any]  # Hydra's node, unresolved
    subdir: str
    config_yaml: str  # unresolved, as .hydra/config.yaml holds it
    _sections: Sections

    def write(self, folder: Path) -> None:
        """Write ``.hydra/`` into the job's folder, as Hydra does."""
        hydra = folder / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        hydra.mkdir(exist_ok=True)
        for name, text in (
            ("config", self.config_yaml),
            ("overrides", strings(self.overrides)),
            ("hydra", self.hydra_yaml(folder)),
        ):
            (hydra / f"{name}.yaml").write_text(text, encoding="utf-8")

    def hydra_yaml(self, output_dir: Path) -> str:
        """Return the text of ``.hydra/hydra.yaml`` of a job that writes to ``output_dir``."""
        runtime = {**self.hydra["runtime"], "output_dir": str(output_dir.absolute())}
        return "hydra:\n" + self._sections.dump({**self.hydra, "runtime": runtime}, "  ")


@dataclass
class Plan:
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
        from rasched.runner.settings import run_settings

        return run_settings(self.config)

    @cached_property
    def logger(self) -> LoggerSettings:
        """What is written of it; a UsageError likewise."""
        from rasched.runner.settings import logger_settings

        return logger_settings(self.config)


def planned(jobs: Sequence[Job]) -> list[Plan]:
    """Return the jobs of a sweep as plans, not yet checked; their folders are names under the sweep's."""
    plans = [Plan(job.config, job.overrides, Path(job.subdir), job) for job in jobs]
    if len({plan.folder for plan in plans}) < len(plans):
        raise UsageError("several jobs would write to one folder; put ${hydra.job.num} into hydra.sweep.subdir")
    return plans


@dataclass(frozen=True)
class Tile:
    """Runs that train as one batch."""

    plans: list[Plan]
    alone: str | None = None  # why its only run has no neighbours
