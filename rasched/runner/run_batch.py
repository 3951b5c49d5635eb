"""Train runs that share a batch, and leave each run's folder complete, however the batch ends."""

from __future__ import annotations

import copy
import errno
import math
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rasched.analysis.seed_bands import curve_spec
from rasched.compose.config_hash import hyperparameters, trial_group
from rasched.errors import CheckpointError, RunFailed, Terminated, UsageError
from rasched.records.batch_rows import read_batch_rows
from rasched.records.files import write_file
from rasched.records.output_dir import delete_records
from rasched.records.policy_file import save_policy
from rasched.records.primary_score import primary_score
from rasched.records.provenance import GitState, command, machine, versions
from rasched.records.recorder import Recorder
from rasched.records.run_json import RunJson, UnwrittenRunJson, now
from rasched.records.score_rows import write_part
from rasched.runner.batch_checkpoint import BatchCheckpoint
from rasched.runner.interrupts import INTERRUPTS
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_spec import RunSpec
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.run_result import RunResult, RunStatus
from rasched.train.video import TAG, Video

VIDEO = "video.gif"
MAX_RUNS_TO_CLOSE = 100  # an interrupt leaves the rows of more runs in their checkpoint: their files take 5 ms per run
MIN_SECONDS_TO_COPY = 0.25  # a rollout that takes longer is not waited for: a copy of the state before it is saved
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
MAX_CHECKPOINT_COST = 0.008  # of the training time; what else is done between two checkpoints takes up to 0.2 %


def train_batch(specs: Sequence[RunSpec], progress: ProgressReporter, git: GitState) -> list[RunResult]:
    """Train runs as one batch, and return their results; a run that fails, or raises, is a result.

    KeyboardInterrupt and Terminated go on to the caller once the folders say so. So does a disk that cannot be written,
    as RunFailed, because smaller batches would not help. Any other exception in a batch may be caused by one run, or by
    too little memory for all. Each half is then trained by itself, down to the run that raises, so that no other run
    loses its result.
    """
    batch = _BatchRun(specs, progress, git)
    try:
        return batch.run()
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            batch.fail(error)
            raise RunFailed(_describe_disk_error(error, specs[0].folder)) from error
        if len(specs) == 1:
            return batch.fail(error)
    except Exception as error:
        if len(specs) == 1:
            return batch.fail(error)
    batch.checkpoint.delete()
    middle = len(specs) // 2
    halves = [[replace(spec, is_retry=True) for spec in half] for half in (specs[:middle], specs[middle:])]
    return [result for half in halves for result in train_batch(half, progress, git)]


class _BatchRun(Callback):
    """One call of the training loop, and the files around it."""

    def __init__(self, specs: Sequence[RunSpec], progress: ProgressReporter, git: GitState) -> None:
        self.specs = specs
        self.progress = progress
        self.git = git
        self.start = time.monotonic()
        self.records: list[RunJson] = []
        self.recorder: Recorder | None = None
        self.checkpoint = BatchCheckpoint(specs)
        self.state: Mapping[str, Any] | None = None
        self.steps = self.saved_step = 0
        self.next_save = self.start + (specs[0].logger.checkpoint_seconds or math.inf)
        self.rollout_start = self.start
        self.copy: dict[str, Any] | None = None  # of the state before a long rollout
        self.records_video = specs[0].logger.video
        self.policy_of: Callable[[int], dict[str, Any]] | None = None
        self.is_complete = False  # all files are written

    def run(self) -> list[RunResult]:
        try:
            return self._run()
        except (KeyboardInterrupt, Terminated) as error:
            if not self.is_complete:
                with INTERRUPTS.deferred():
                    self._save_copy()
                    self._abort(error)
            raise
        finally:
            INTERRUPTS.await_checkpoint(False)

    def _run(self) -> list[RunResult]:
        first = self.specs[0]
        self.state = first.state or self._load_state()
        self.steps = self.saved_step = int(self.state["step"]) if self.state else 0
        self.records = [self._begin(spec) for spec in self.specs]
        self.recorder = Recorder(
            [spec.folder for spec in self.specs],
            steps=first.settings.steps,
            every=first.logger.log_every,
            hparams=[hyperparameters(spec.config) for spec in self.specs],
            groups=[trial_group(spec.config) for spec in self.specs],
            after=self.steps,
            curves=curve_spec(first.settings.steps),
            rows_file=self.checkpoint.rows_file,
            only_scores=first.only_scores,
        )
        self.rollout_start = time.monotonic()
        overrides = [spec.overrides for spec in self.specs]
        with self.progress.batch(len(self.specs), first.settings.steps, overrides):
            settings = [spec.settings for spec in self.specs]
            results = train(settings, self, state=self.state, batched=first.batched)
        INTERRUPTS.await_checkpoint(False)
        with INTERRUPTS.deferred():
            scores = self.recorder.close()
            for record, checksum in zip(self.records, self.recorder.checksums, strict=not first.only_scores):
                record.entries["metrics_crc32"] = checksum
            results = [replace(result, scores=of_run) for result, of_run in zip(results, scores, strict=True)]
            if not first.only_scores:
                self._keep_policies(results)
            results = [self._write(index, result) for index, result in enumerate(results)]
            self._write_rows()
            self.is_complete = True
            self.checkpoint.delete()
        if not self.recorder.means:  # a run trained by itself
            return results
        return [replace(result, curves=curves) for result, curves in zip(results, self.recorder.means, strict=True)]

    def fail(self, error: Exception) -> list[RunResult]:
        """Leave readable records of what was trained before the error."""
        return [replace(result, exception=error) for result in self._abort(error)]

    def _load_state(self) -> Mapping[str, Any] | None:
        """Return the state of an earlier attempt, if it can be continued."""
        if not any(spec.is_retry for spec in self.specs):
            return None
        try:
            state = self.checkpoint.load()
            if state is not None and "refused" in state["env"]:
                raise CheckpointError(state["env"]["refused"])
            if self.checkpoint.rows_file is not None and state is not None:
                for _ in read_batch_rows(self.checkpoint.rows_file.path, state["rows_end"]):
                    pass  # damage shows before the records of an earlier attempt are touched
            return state
        except (CheckpointError, KeyError, TypeError) as error:
            folders = self.specs[0].folder if len(self.specs) == 1 else self.specs[0].folder.parent
            warnings.warn(f"{folders}: {error}; training starts again", RuntimeWarning, stacklevel=2)
            self.checkpoint.delete()
            self.checkpoint = BatchCheckpoint(self.specs)
            return None

    def on_row(self, step: int, columns: Mapping[str, Any]) -> None:
        assert self.recorder is not None
        INTERRUPTS.await_checkpoint(True)
        INTERRUPTS.defer()
        try:
            self.recorder.record(step, columns)
            self.steps = step
        finally:
            INTERRUPTS.resume()
        self.progress.step(step, columns)

    def on_checkpoint(self, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        now = time.monotonic()
        self.copy = None
        if INTERRUPTS.is_pending or self._is_due(step, now):
            self._save(step, state_dict())
            INTERRUPTS.await_checkpoint(False)  # raises if a signal waits
        elif now - self.rollout_start > MIN_SECONDS_TO_COPY:
            self.copy = copy.deepcopy(state_dict())
            INTERRUPTS.await_checkpoint(False)
        else:
            INTERRUPTS.await_checkpoint(True)
        self.rollout_start = time.monotonic()

    def _is_due(self, step: int, now: float) -> bool:
        first = self.specs[0]
        if step >= first.settings.steps:
            return not first.batched  # the files of a batch follow at once
        every = first.logger.checkpoint_every
        return now >= self.next_save or bool(every and step - self.saved_step >= every)

    def _save(self, step: int, state: dict[str, Any]) -> None:
        assert self.recorder is not None
        first = self.specs[0]
        if "refused" in state["env"] and (first.batched or step < first.settings.steps):
            self.next_save = math.inf  # it could not be continued
            return
        start = time.monotonic()
        with INTERRUPTS.deferred():
            self.checkpoint.save(state, self.recorder)
            self.saved_step = step
            end = time.monotonic()
            seconds = self.specs[0].logger.checkpoint_seconds or math.inf
            self.next_save = end + max(seconds, (end - start) / MAX_CHECKPOINT_COST)

    def _save_copy(self) -> None:
        """Save the state before the rollout that a signal interrupted, unless rows followed it."""
        if self.copy is not None and self.copy["step"] == self.steps > self.saved_step:
            with suppress(OSError):
                self._save(self.steps, self.copy)

    def on_run_failed(self, run_index: int, result: RunResult) -> None:
        self.progress.fail(self.specs[run_index].overrides, str(result.error))

    def on_video(self, run_index: int, record_video: Callable[[], Video]) -> None:
        assert self.recorder is not None
        folder = self.specs[run_index].folder
        try:
            video = record_video()
        except Exception as error:  # whatever a renderer raises: the numbers exist by now, and are worth more
            warnings.warn(f"{folder} is complete but for its video: {error}", RuntimeWarning, stacklevel=2)
            return
        with INTERRUPTS.deferred():
            write_file(folder / VIDEO, video.gif)
            self.recorder.add_image(run_index, TAG, video.gif, video.size)

    def on_policies(self, policy_of: Callable[[int], dict[str, Any]]) -> None:
        self.policy_of = policy_of

    def _keep_policies(self, results: Sequence[RunResult]) -> None:
        """Write the policies that ``logger.keep_policy`` names; of the best runs of a sweep, that of this batch."""
        assert self.policy_of is not None
        done = [index for index, result in enumerate(results) if result.is_done]
        modes = {index: self.specs[index].logger.keep_policy for index in done}
        candidates = [index for index in done if modes[index] == "best"]
        scored = [(primary_score(results[index].scores), index) for index in candidates]
        ranked = sorted((-math.inf if score is None else score, -index) for score, index in scored)
        best = -ranked[-1][1] if ranked else None  # of equal ones the first
        for index in done:
            if modes[index] == "all" or index == best:
                spec = self.specs[index]
                try:
                    save_policy(spec.folder, self.policy_of(index), spec.config, spec.settings.seed)
                except OSError:
                    raise
                except Exception as error:  # of a user's own agent: the numbers exist by now, and are worth more
                    message = f"{spec.folder} is complete but for its policy: {error}"
                    warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _begin(self, spec: RunSpec) -> RunJson:
        if not spec.only_scores:
            if spec.is_retry and self.state is None:
                delete_records(spec.folder)
            spec.job.write_hydra_files(spec.folder)
        record = (UnwrittenRunJson if spec.only_scores else RunJson)(
            spec.folder,
            status=RunStatus.RUNNING,
            exit_code=None,
            error=None,
            seed=spec.settings.seed,
            steps=0,
            overrides=spec.overrides,
            config_hash=spec.config_hash,
            config_crc32=spec.job.config_crc32,
            scores={},
            started_at=now(),
            wall_time=None,
            runs_in_batch=len(self.specs),
            batched=spec.batched,
            command=command(),
            versions=versions(),
            machine=machine(),
            **self.git.entries(spec.sweep_folder if spec.only_scores and spec.sweep_folder else spec.folder),
        )
        if not spec.batched:  # nothing of a batch can be read before its end, and a file costs a tenth of a run's share
            record.update()
        return record

    def _abort(self, error: BaseException) -> list[RunResult]:
        """Leave readable records of what was trained before the error."""
        interrupted = isinstance(error, (KeyboardInterrupt, Terminated))
        status = RunStatus.INTERRUPTED if interrupted else RunStatus.FAILED
        scores: list[dict[str, float]] = []
        if self.recorder and not (interrupted and len(self.specs) > MAX_RUNS_TO_CLOSE and self.saved_step):
            with suppress(OSError):
                scores = self.recorder.close()  # closed already if closing is what failed: then there are fewer files
                for record, checksum in zip(self.records, self.recorder.checksums, strict=False):
                    record.entries["metrics_crc32"] = checksum
        results = []
        for index, spec in enumerate(self.specs):
            result = RunResult(
                status, self.steps, _describe(error), _exit_code(error, spec), scores[index] if scores else {}
            )
            with suppress(OSError):  # a full disk: the record keeps "running", but the run is over
                result = self._write(index, result)
            results.append(result)
        with suppress(OSError):
            self._write_rows()
        return results

    def _write_rows(self) -> None:
        """Write the rows of runs that keep only their scores into the sweep's folder."""
        first = self.specs[0]
        if first.only_scores and first.sweep_folder is not None:
            rows = [
                {"folder": spec.name, **record.entries} for spec, record in zip(self.specs, self.records, strict=False)
            ]
            write_part(first.sweep_folder, self.checkpoint.digest, rows)

    def _write(self, index: int, result: RunResult) -> RunResult:
        """Write a run's ``run.json``, if it was begun, and return the result with its overrides and folder."""
        spec = self.specs[index]
        result = replace(result, overrides=spec.overrides, folder=spec.folder)
        if index < len(self.records):
            self.records[index].update(
                status=result.status,
                exit_code=result.exit_code,
                error=result.error,
                steps=result.steps,
                scores=result.scores,
                wall_time=round(time.monotonic() - self.start, 3),
            )
        return result


def _describe_disk_error(error: OSError, folder: Path) -> str:
    path = error.filename or folder
    root = folder.parent if (folder.parent / "sweep.json").exists() else folder
    return f"{path} cannot be written ({error.strerror}); make room there, then go on with: rasched resume {root}"


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    if isinstance(error, Terminated):
        return "SIGTERM"
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        folder = f"{Path(error.filename).parent}: " if error.filename else ""
        return f"{folder}{error.strerror}; let rasched write there, then continue with rasched resume"
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


def _exit_code(error: BaseException, spec: RunSpec) -> int:
    """Return the exit code: a full disk or a user's own class is a failed run; anything else is an internal error."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, Terminated):
        return Terminated.exit_code
    if isinstance(error, UsageError):
        return UsageError.exit_code
    parts = (spec.settings.rule, spec.settings.env, spec.settings.agent)
    is_custom = any(not type(part).__module__.startswith("rasched.") for part in parts)
    too_large = isinstance(error, MemoryError) or "can't allocate memory" in str(error)  # the second is torch's
    return RunFailed.exit_code if is_custom or too_large or isinstance(error, OSError) else 1
