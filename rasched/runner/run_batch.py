"""Train runs that share a batch, and leave each one's folder whole, however the batch ends."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rasched.analysis.seed_bands import CurveData, curve_spec
from rasched.analysis.sweep_table import score
from rasched.compose.hparams import hyperparameters, trial_group
from rasched.errors import RunFailed, Terminated
from rasched.records import checkpoint
from rasched.records.output_dir import clear
from rasched.records.recorder import Recorder
from rasched.records.run_json import GitState, RunJson, command, now, versions
from rasched.runner.interrupts import SIGNALS
from rasched.runner.progress import Ended
from rasched.runner.run_spec import RunSpec
from rasched.runner.watch import Watch
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.run_result import RunResult
from rasched.train.video import TAG, Video

CHECKPOINT = "checkpoint.pt"
VIDEO = "video.gif"


@dataclass
class Result:
    """How a run ended."""

    plan: RunSpec
    status: str  # done, failed or interrupted
    scores: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    reason: str | None = None
    exit_code: int = 0
    error: Exception | None = None  # what was raised, where something was
    means: CurveData | None = None  # what is drawn of it, where it was not alone

    def ended(self) -> Ended:
        """Return what a sweep's progress shows of it."""
        return Ended(tuple(self.plan.overrides), self.status, self.reason, score(self.scores), self.means)

    def summary(self) -> dict[str, Any]:
        """Return what scripts ask for."""
        said = {"folder": str(self.plan.folder.absolute()), "status": self.status, "reason": self.reason}
        return {**said, "exit_code": self.exit_code, "steps": self.steps, "scores": self.scores}


def execute(plans: Sequence[RunSpec], watch: Watch, git: GitState) -> list[Result]:
    """Train the runs as one batch; a run that fails, or raises, is a result.

    KeyboardInterrupt and Terminated go on to the caller once the folders say so. An exception in a batch of several
    runs may be one run's alone, or too little memory for all: each half is then tried by itself, down to the run that
    raises, so that it costs no neighbour its result.
    """
    batch = _BatchRun(plans, watch, git)
    try:
        return batch.run()
    except Exception as error:
        if len(plans) == 1:
            return [batch.broken(error)]
    middle = len(plans) // 2
    halves = [[replace(plan, again=True) for plan in half] for half in (plans[:middle], plans[middle:])]
    return [result for half in halves for result in execute(half, watch, git)]


class _BatchRun(Callback):
    """One call of the loop and the files around it."""

    def __init__(self, plans: Sequence[RunSpec], watch: Watch, git: GitState) -> None:
        self.plans = plans
        self.watch = watch
        self.git = git
        self.start = time.monotonic()
        self.records: list[RunJson] = []
        self.recorder: Recorder | None = None
        self.steps = self.saved = self._after
        self.records_video = plans[0].logger.video
        self.over = False  # all files are complete

    @property
    def _after(self) -> int:
        state = self.plans[0].state
        return int(state["step"]) if state else 0

    def run(self) -> list[Result]:
        try:
            return self._run()
        except (KeyboardInterrupt, Terminated) as error:
            if not self.over:
                with SIGNALS.held():
                    self._broke_off(error)
            raise

    def _run(self) -> list[Result]:
        self.records = [self._begin(plan) for plan in self.plans]
        first = self.plans[0]
        self.recorder = Recorder(
            [plan.folder for plan in self.plans],
            steps=first.settings.steps,
            every=first.logger.log_every,  # type: ignore[arg-type]  # checked: "auto", a number or None
            hparams=[hyperparameters(plan.config) for plan in self.plans],
            groups=[trial_group(plan.config) for plan in self.plans],
            after=self._after,
            curves=curve_spec(first.settings.steps),
        )
        with self.watch.batch(len(self.plans), first.settings.steps):
            runs = [plan.settings for plan in self.plans]
            endings = train(runs, self, state=first.state, batched=first.stacked)
        with SIGNALS.held():
            scores = self.recorder.close()
            results = [self._end(*found) for found in zip(self.plans, self.records, endings, scores, strict=True)]
            self.over = True
        for result, means in zip(results, self.recorder.means, strict=False):  # a single run has none
            result.means = means
        return results

    def broken(self, error: Exception) -> Result:
        """Leave readable records of what a single run had done before it raised."""
        (result,) = self._broke_off(error)
        result.error = error
        return result

    def on_row(self, step: int, columns: Mapping[str, Any]) -> None:
        assert self.recorder is not None
        SIGNALS.hold()
        try:
            self.recorder.record(step, columns)
            self.steps = step
        finally:
            SIGNALS.release()
        self.watch.step(step, columns)

    def on_checkpoint(self, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        plan = self.plans[0]
        if plan.stacked:
            return
        every = plan.logger.checkpoint_every
        if not (every and step - self.saved >= every) and step < plan.settings.steps:
            return
        assert self.recorder is not None
        with SIGNALS.held():
            self.recorder.flush(durable=True)  # a checkpoint counts on the rows before it
            checkpoint.save(plan.folder / CHECKPOINT, state_dict())
        self.saved = step

    def on_run_failed(self, run_index: int, result: RunResult) -> None:
        self.watch.failed(self.plans[run_index].overrides, str(result.error))

    def on_video(self, run_index: int, record_video: Callable[[], Video]) -> None:
        assert self.recorder is not None
        folder = self.plans[run_index].folder
        try:
            video = record_video()
        except Exception as error:  # whatever a renderer raises: by now there are numbers, which are worth more
            warnings.warn(f"{folder} is complete but for its video: {error}", RuntimeWarning, stacklevel=2)
            return
        with SIGNALS.held():
            (folder / VIDEO).write_bytes(video.gif)
            self.recorder.image(run_index, TAG, video.gif, video.size)

    def _begin(self, plan: RunSpec) -> RunJson:
        if plan.again and plan.state is None:
            clear(plan.folder)
        if plan.job is not None:
            plan.job.write(plan.folder)
        record = RunJson(
            plan.folder,
            status="running",
            exit_code=None,
            reason=None,
            seed=plan.settings.seed,
            steps=0,
            overrides=plan.overrides,
            identity=plan.identity,
            scores={},
            started=now(),
            wall_time=None,
            runs_in_batch=len(self.plans),
            command=command(),
            versions=versions(),
            **self.git.entries(plan.folder),
        )
        if not plan.stacked:  # of a batch nothing can be read before its end, and a file costs a tenth of a run's share
            record.update()
        return record

    def _end(self, plan: RunSpec, record: RunJson, ending: RunResult, scores: dict[str, float]) -> Result:
        failed = ending.error is not None
        result = Result(
            plan, "failed" if failed else "done", scores, ending.steps, ending.error, RunFailed.exit_code * failed
        )
        self._write(record, result)
        return result

    def _broke_off(self, error: BaseException) -> list[Result]:
        """Leave readable records of what there was."""
        interrupted = isinstance(error, (KeyboardInterrupt, Terminated))
        status = "interrupted" if interrupted else "failed"
        try:
            scores = self.recorder.close() if self.recorder else []  # closed already where closing is what failed
        except OSError:
            scores = []
        results = []
        for place, plan in enumerate(self.plans):
            found = scores[place] if scores else {}
            results.append(Result(plan, status, found, self.steps, _reason(error), _code(error, plan)))
            if place < len(self.records):
                with suppress(OSError):  # a full disk: the run stays "running" in its record, and is none the less over
                    self._write(self.records[place], results[-1])
        return results

    def _write(self, record: RunJson, result: Result) -> None:
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


def _code(error: BaseException, plan: RunSpec) -> int:
    """Return the exit code: a full disk or a user's own class is a run that failed; anything else is a bug of ours."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, Terminated):
        return Terminated.exit_code
    parts = (plan.settings.rule, plan.settings.env, plan.settings.agent)
    own = any(not type(part).__module__.startswith("rasched.") for part in parts)
    return RunFailed.exit_code if own or isinstance(error, (OSError, MemoryError)) else 1
