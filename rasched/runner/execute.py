"""Train runs that share a batch, and leave each one's folder whole, however the batch ends."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rasched.runner.errors import RunFailed, Terminated
from rasched.runner.hparams import hyperparameters, setting_group
from rasched.runner.jobs import Job
from rasched.runner.record import Git, Record, command, now, versions
from rasched.runner.settings import LoggerSettings
from rasched.runner.watch import Watch
from rasched.train import checkpoint
from rasched.train.loop import Ending, train
from rasched.train.recorder import Recorder
from rasched.train.settings import RunSettings

CHECKPOINT = "checkpoint.pt"


@dataclass
class Plan:
    """A run that is checked and can start."""

    config: Mapping[str, Any]
    overrides: list[str]
    settings: RunSettings
    logger: LoggerSettings
    folder: Path
    job: Job | None = None  # None where Hydra has written .hydra/ itself


@dataclass
class Result:
    """How a run ended."""

    plan: Plan
    status: str  # done, failed or interrupted
    scores: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    reason: str | None = None
    exit_code: int = 0

    def summary(self) -> dict[str, Any]:
        """Return what scripts ask for."""
        said = {"folder": str(self.plan.folder.absolute()), "status": self.status, "reason": self.reason}
        return {**said, "exit_code": self.exit_code, "steps": self.steps, "scores": self.scores}


def execute(plans: Sequence[Plan], watch: Watch, git: Git) -> list[Result]:
    """Train the runs as one batch; a run that fails is a result.

    KeyboardInterrupt and Terminated go on to the caller once the folders say so. An exception in a batch of several
    runs may be one run's alone: each is then tried by itself, so that it costs no neighbour its result.
    """
    try:
        return _Batch(plans, watch, git).run()
    except (KeyboardInterrupt, Terminated):
        raise
    except Exception:
        if len(plans) == 1:
            raise
        return [result for plan in plans for result in _alone(plan, watch, git)]


def _alone(plan: Plan, watch: Watch, git: Git) -> list[Result]:
    try:
        return _Batch([plan], watch, git).run()
    except Exception as error:
        return [_broken(plan, error)]


def _broken(plan: Plan, error: Exception) -> Result:
    return Result(plan, "failed", reason=_reason(error), exit_code=_code(error, plan))


class _Batch:
    """One call of the loop and the files around it."""

    def __init__(self, plans: Sequence[Plan], watch: Watch, git: Git) -> None:
        self.plans = plans
        self.watch = watch
        self.git = git
        self.start = time.monotonic()
        self.records = [self._begin(plan) for plan in plans]
        self.steps = 0

    def run(self) -> list[Result]:
        first = self.plans[0]
        recorder = Recorder(
            [plan.folder for plan in self.plans],
            steps=first.settings.steps,
            every=first.logger.every,  # type: ignore[arg-type]  # checked: "auto", a number or None
            hparams=[hyperparameters(plan.config) for plan in self.plans],
            groups=[setting_group(plan.config) for plan in self.plans],
        )
        try:
            with self.watch.batch(len(self.plans), first.settings.steps), recorder:
                endings = self._train(recorder)
        except BaseException as error:
            self._broke_off(error, recorder)
            raise
        scores = recorder.close()
        return [self._end(*found) for found in zip(self.plans, self.records, endings, scores, strict=True)]

    def _train(self, recorder: Recorder) -> list[Ending]:
        def record(step: int, columns: Mapping[str, Any]) -> None:
            recorder.record(step, columns)
            self.steps = step
            self.watch.step(step, columns)

        if len(self.plans) > 1:
            return train([plan.settings for plan in self.plans], record)
        plan = self.plans[0]

        def save(state: Mapping[str, Any]) -> None:
            recorder.flush(durable=True)  # a checkpoint counts on the rows before it
            checkpoint.save(plan.folder / CHECKPOINT, dict(state))

        return train([plan.settings], record, save=save, save_every=plan.logger.checkpoint_every)

    def _begin(self, plan: Plan) -> Record:
        if plan.job is not None:
            plan.job.write(plan.folder)
        record = Record(
            plan.folder,
            status="running",
            exit_code=None,
            reason=None,
            seed=plan.settings.seed,
            steps=0,
            overrides=plan.overrides,
            scores={},
            started=now(),
            wall_time=None,
            runs_in_batch=len(self.plans),
            command=command(),
            versions=versions(),
            **self.git.entries(plan.folder),
        )
        record.update()
        return record

    def _end(self, plan: Plan, record: Record, ending: Ending, scores: dict[str, float]) -> Result:
        failed = ending.failure is not None
        result = Result(
            plan, "failed" if failed else "done", scores, ending.steps, ending.failure, RunFailed.exit_code * failed
        )
        self._write(record, result)
        return result

    def _broke_off(self, error: BaseException, recorder: Recorder) -> None:
        """Leave readable records of what there was; the recorder has closed its files on the way here."""
        interrupted = isinstance(error, (KeyboardInterrupt, Terminated))
        try:
            scores = recorder.close()  # closed already, unless closing is what failed
        except OSError:
            scores = [{} for _ in self.plans]
        for plan, record, found in zip(self.plans, self.records, scores, strict=True):
            status = "interrupted" if interrupted else "failed"
            self._write(record, Result(plan, status, found, self.steps, _reason(error), _code(error, plan)))

    def _write(self, record: Record, result: Result) -> None:
        record.update(
            status=result.status,
            exit_code=result.exit_code,
            reason=result.reason,
            steps=result.steps,
            scores=result.scores,
            wall_time=round(time.monotonic() - self.start, 3),
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(error, Terminated):
        return "SIGTERM"
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


def _code(error: BaseException, plan: Plan) -> int:
    """Return the exit code: a full disk or a user's own class is a run that failed; anything else is a bug of ours."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, Terminated):
        return Terminated.exit_code
    parts = (plan.settings.rule, plan.settings.env, plan.settings.agent)
    own = any(not type(part).__module__.startswith("rasched.") for part in parts)
    return RunFailed.exit_code if own or isinstance(error, (OSError, MemoryError)) else 1
