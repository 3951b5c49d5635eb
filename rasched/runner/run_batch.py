"""Train runs that share a batch, and leave each run's folder complete, however the batch ends."""

from __future__ import annotations

import errno
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
from rasched.errors import RunFailed, Terminated
from rasched.records.checkpoint import CHECKPOINT, save_checkpoint
from rasched.records.files import write_file
from rasched.records.output_dir import delete_records
from rasched.records.provenance import GitState, command, versions
from rasched.records.recorder import Recorder
from rasched.records.run_json import RunJson, now
from rasched.runner.interrupts import INTERRUPTS
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_spec import RunSpec
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.run_result import RunResult, RunStatus
from rasched.train.video import TAG, Video

VIDEO = "video.gif"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def train_batch(specs: Sequence[RunSpec], progress: ProgressReporter, git: GitState) -> list[RunResult]:
    """Train runs as one batch, and return their results; a run that fails, or raises, is a result.

    KeyboardInterrupt and Terminated go on to the caller once the folders say so, and a full disk as RunFailed: smaller
    batches would not help. Any other exception in a batch of several
    runs may be caused by one run, or by too little memory for all. Each half is then trained by itself, down to the run
    that raises, so that no other run loses its result.
    """
    batch = _BatchRun(specs, progress, git)
    try:
        return batch.run()
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            batch.fail_all(error)
            raise RunFailed(_describe_disk_error(error, specs[0].folder)) from error
        if len(specs) == 1:
            return [batch.fail(error)]
    except Exception as error:
        if len(specs) == 1:
            return [batch.fail(error)]
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
        self.steps = self.last_checkpoint = specs[0].first_step
        self.records_video = specs[0].logger.video
        self.is_complete = False  # all files are written

    def run(self) -> list[RunResult]:
        try:
            return self._run()
        except (KeyboardInterrupt, Terminated) as error:
            if not self.is_complete:
                with INTERRUPTS.deferred():
                    self._abort(error)
            raise

    def _run(self) -> list[RunResult]:
        self.records = [self._begin(spec) for spec in self.specs]
        first = self.specs[0]
        self.recorder = Recorder(
            [spec.folder for spec in self.specs],
            steps=first.settings.steps,
            every=first.logger.log_every,  # type: ignore[arg-type]  # checked: "auto", a number or None
            hparams=[hyperparameters(spec.config) for spec in self.specs],
            groups=[trial_group(spec.config) for spec in self.specs],
            after=first.first_step,
            curves=curve_spec(first.settings.steps),
        )
        with self.progress.batch(len(self.specs), first.settings.steps):
            settings = [spec.settings for spec in self.specs]
            results = train(settings, self, state=first.state, batched=first.batched)
        with INTERRUPTS.deferred():
            scores = self.recorder.close()
            for record, checksum in zip(self.records, self.recorder.checksums, strict=True):
                record.entries["metrics_crc32"] = checksum
            results = [replace(result, scores=of_run) for result, of_run in zip(results, scores, strict=True)]
            results = [self._write(index, result) for index, result in enumerate(results)]
            self.is_complete = True
        if not self.recorder.means:  # a run trained by itself
            return results
        return [replace(result, curves=curves) for result, curves in zip(results, self.recorder.means, strict=True)]

    def fail_all(self, error: Exception) -> None:
        """Leave records of all runs that say why they stopped."""
        self._abort(error)

    def fail(self, error: Exception) -> RunResult:
        """Leave readable records of what a single run had done before it raised."""
        (result,) = self._abort(error)
        return replace(result, exception=error)

    def on_row(self, step: int, columns: Mapping[str, Any]) -> None:
        assert self.recorder is not None
        INTERRUPTS.defer()
        try:
            self.recorder.record(step, columns)
            self.steps = step
        finally:
            INTERRUPTS.resume()
        self.progress.step(step, columns)

    def on_checkpoint(self, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        first = self.specs[0]
        if first.batched:
            return
        every = first.logger.checkpoint_every
        if not (every and step - self.last_checkpoint >= every) and step < first.settings.steps:
            return
        assert self.recorder is not None
        with INTERRUPTS.deferred():
            self.recorder.flush(durable=True)  # a checkpoint counts on the rows before it
            save_checkpoint(first.folder / CHECKPOINT, state_dict(), first.config_hash)
        self.last_checkpoint = step

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

    def _begin(self, spec: RunSpec) -> RunJson:
        if spec.is_retry and spec.state is None:
            delete_records(spec.folder)
        spec.job.write_hydra_files(spec.folder)
        record = RunJson(
            spec.folder,
            status=RunStatus.RUNNING,
            exit_code=None,
            error=None,
            seed=spec.settings.seed,
            steps=0,
            overrides=spec.overrides,
            config_hash=spec.config_hash,
            scores={},
            started_at=now(),
            wall_time=None,
            runs_in_batch=len(self.specs),
            command=command(),
            versions=versions(),
            **self.git.entries(spec.folder),
        )
        if not spec.batched:  # nothing of a batch can be read before its end, and a file costs a tenth of a run's share
            record.update()
        return record

    def _abort(self, error: BaseException) -> list[RunResult]:
        """Leave readable records of what was trained before the error."""
        interrupted = isinstance(error, (KeyboardInterrupt, Terminated))
        status = RunStatus.INTERRUPTED if interrupted else RunStatus.FAILED
        try:
            scores = self.recorder.close() if self.recorder else []  # closed already if closing is what failed
        except OSError:
            scores = []
        results = []
        for index, spec in enumerate(self.specs):
            result = RunResult(
                status, self.steps, _describe(error), _exit_code(error, spec), scores[index] if scores else {}
            )
            with suppress(OSError):  # a full disk: the record keeps "running", but the run is over
                result = self._write(index, result)
            results.append(result)
        return results

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
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"


def _exit_code(error: BaseException, spec: RunSpec) -> int:
    """Return the exit code: a full disk or a user's own class is a failed run; anything else is an internal error."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, Terminated):
        return Terminated.exit_code
    parts = (spec.settings.rule, spec.settings.env, spec.settings.agent)
    is_custom = any(not type(part).__module__.startswith("rasched.") for part in parts)
    too_large = isinstance(error, MemoryError) or "can't allocate memory" in str(error)  # the second is torch's
    return RunFailed.exit_code if is_custom or too_large or isinstance(error, OSError) else 1
