"""Many runs from one line of words: all checked before one starts, a folder each, and an index above them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rasched.results.load import RECORD
from rasched.results.score import interval
from rasched.runner.compose import Composer
from rasched.runner.errors import RunFailed, Terminated, UsageError
from rasched.runner.execute import Plan, execute
from rasched.runner.folders import is_dated, reserve
from rasched.runner.jobs import JobComposer, split
from rasched.runner.record import Git, command, now, write_json
from rasched.runner.settings import logger_settings, run_settings, try_out
from rasched.runner.watch import Watch
from rasched.train.batches import batches

INDEX = "sweep.json"
_OURS = "hydra_plugins.rasched.StackedLauncher"
_BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Row:
    """A setting's runs: the mean over seeds of the mean reward of the last tenth, with its 95 % interval."""

    setting: str
    runs: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """What came of a sweep; ``rows`` are one a run, read from the runs' own records."""

    folder: Path
    rows: list[dict[str, Any]]
    wall_time: float
    exit_code: int

    def failed(self) -> list[dict[str, Any]]:
        """Return the rows of the runs that are not done."""
        return [row for row in self.rows if row["status"] != "done"]

    def as_dict(self) -> dict[str, Any]:
        """Return what scripts ask for, and what the index holds."""
        entries = {"exit_code": self.exit_code, "wall_time": self.wall_time, "runs": self.rows}
        return {"folder": str(self.folder.absolute()), **entries}

    def table(self) -> list[Row]:
        """Return one row a setting, in the order of the jobs."""
        common = set.intersection(*(set(row["overrides"]) for row in self.rows)) if self.rows else set()
        together: dict[str, list[float]] = {}
        for row in self.rows:
            if "reward_last_tenth" in row["scores"]:
                varied = [o for o in row["overrides"] if o not in common and not o.startswith("seed=")]
                together.setdefault(" ".join(varied), []).append(row["scores"]["reward_last_tenth"])
        return [_row(setting, values) for setting, values in together.items()]


def sweep(composer: Composer, overrides: Sequence[str], watch: Watch) -> Summary:
    """Run all jobs of the sweep, by our launcher or by the one that the overrides name.

    Wrong settings in any job are a UsageError before anything is written. Failed runs are in the summary; so is an
    interrupt, by its exit code.
    """
    mode = [] if any(o.startswith("hydra.mode=") for o in overrides) else ["hydra.mode=MULTIRUN"]
    lines = [*overrides, *mode]
    master = composer.compose(lines, mode=RunMode.MULTIRUN)
    is_ours = master.hydra.launcher._target_ == _OURS and master.hydra.sweeper._target_ == _BASIC
    params = master.hydra.sweeper.get("params") or {}
    plans = prepare(composer, master, [*(f"{k}={v}" for k, v in params.items()), *lines]) if _is_basic(master) else []
    folder = reserve(Path(master.hydra.sweep.dir), is_dated(_template(master)), "hydra.sweep.dir")
    for plan in plans:
        plan.folder = folder / plan.folder
    sweeping = _Sweeping(folder, plans)
    if is_ours:
        OmegaConf.save(master, folder / "multirun.yaml")
        return sweeping.finish(lambda: launch(plans, folder, watch))
    from rasched.runner.foreign import launch_by_hydra

    return sweeping.finish(lambda: launch_by_hydra(composer, lines, folder))


def prepare(composer: Composer, master: DictConfig, overrides: Sequence[str]) -> list[Plan]:
    """Compose and check all jobs; their folders are names under the sweep's, and nothing is written."""
    own, jobs = split(composer, overrides)
    return checked(JobComposer(composer, own, master), jobs, first=0)


def checked(jobs: JobComposer, overrides: Sequence[Sequence[str]], first: int) -> list[Plan]:
    """Return the jobs as plans; a UsageError names the job whose settings are wrong."""
    plans = []
    for job in jobs.all(overrides, first):
        try:
            settings, logger = run_settings(job.config), logger_settings(job.config)
        except UsageError as error:
            raise UsageError(f"job {job.num} ({' '.join(job.overrides)}): {error}") from error
        plans.append(Plan(job.config, job.overrides, settings, logger, Path(job.subdir), job))
    if len({plan.folder for plan in plans}) < len(plans):
        raise UsageError("several jobs would write to one folder; put ${hydra.job.num} into hydra.sweep.subdir")
    try_out([plan.settings for plan in plans], [plan.config for plan in plans])
    return plans


def launch(plans: Sequence[Plan], folder: Path, watch: Watch) -> None:
    """Train the plans of a sweep in batches, each in its folder."""
    git = Git(folder)
    watch.begin(len(plans), sum(plan.settings.steps for plan in plans))
    for batch in in_batches(plans):
        execute(batch, watch, git)


def in_batches(plans: Sequence[Plan]) -> list[list[Plan]]:
    """Return the plans that may train together: alike in what a batch shares, and in how often they log."""
    found: list[list[Plan]] = []
    for places in batches([plan.settings for plan in plans]):
        by_logging: dict[Any, list[Plan]] = {}
        for place in places:
            by_logging.setdefault(plans[place].logger, []).append(plans[place])
        found += by_logging.values()
    return found


class _Sweeping:
    """The index of a sweep while it runs."""

    def __init__(self, folder: Path, plans: Sequence[Plan]) -> None:
        self.folder = folder
        self.plans = plans
        self.started = now()
        self.start = time.monotonic()
        self._write("running", rows_of(folder, plans), None)

    def finish(self, run: Any) -> Summary:
        """Run the jobs, then read their records and write the index."""
        stopped = 0
        try:
            run()
        except KeyboardInterrupt:
            stopped = 130
        except Terminated:
            stopped = Terminated.exit_code
        rows = rows_of(self.folder, self.plans)
        summary = Summary(self.folder, rows, self._wall_time(), stopped or worst(rows))
        self._write("interrupted" if stopped else "failed" if summary.exit_code else "done", rows, summary.exit_code)
        return summary

    def _wall_time(self) -> float:
        return round(time.monotonic() - self.start, 3)

    def _write(self, status: str, rows: Sequence[Mapping[str, Any]], exit_code: int | None) -> None:
        entries = {"status": status, "exit_code": exit_code, "started": self.started, "wall_time": self._wall_time()}
        write_json(self.folder / INDEX, {**entries, "command": command(), "runs": list(rows)})


def rows_of(folder: Path, plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """Return one row a run, from the records under a sweep's folder; a planned run without one is ``missing``."""
    if plans:
        return [_record_row(folder, plan.folder, plan.overrides) for plan in plans]
    return [_record_row(folder, path.parent, []) for path in sorted(folder.glob(f"**/{RECORD}"))]


def _record_row(folder: Path, path: Path, overrides: list[str]) -> dict[str, Any]:
    file = path / RECORD
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    taken = {name: record.get(name) for name in ("reason", "exit_code", "seed", "steps", "wall_time")}
    return {
        "overrides": record.get("overrides", overrides),
        "folder": str(path.relative_to(folder)),
        "status": record.get("status", "missing"),
        **taken,
        "scores": record.get("scores", {}),
    }


def worst(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the exit code of a sweep: a bug of ours before a failed run before none."""
    codes = {row["exit_code"] if row["status"] in ("done", "failed") else RunFailed.exit_code for row in rows}
    return next((code for code in (130, 143, 1, 2, 3) if code in codes), 0)


def _is_basic(master: DictConfig) -> bool:
    return bool(master.hydra.sweeper._target_ == _BASIC)


def _template(master: DictConfig) -> str:
    plain = OmegaConf.to_container(master.hydra.sweep, resolve=False)
    assert isinstance(plain, dict)
    return str(plain["dir"])


def _row(setting: str, values: list[float]) -> Row:
    low, high = interval(values)
    return Row(setting, len(values), float(sum(values) / len(values)), low, high)
