"""Train batches in several processes of one thread each; a process that dies costs its own runs only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from rasched.errors import RunFailed, Terminated
from rasched.records.provenance import GitState
from rasched.runner.batch_checkpoint import BatchCheckpoint
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_records import mark_failed, read_records
from rasched.runner.run_spec import Batch, RunSpec
from rasched.runner.worker import parent_alive_pipe, start_worker
from rasched.train.run_result import RunResult, RunStatus

_SHUTDOWN_TIMEOUT = 30.0  # seconds for workers to close their records after a signal


@dataclass
class _Task:
    specs: Sequence[RunSpec]
    is_retry: bool = False


@dataclass
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    task: _Task | None = None


def train_in_workers(
    batches: Sequence[Batch], num_workers: int, progress: ProgressReporter, git: GitState, open_files: Sequence[int]
) -> None:
    """Train batches, one per worker at a time. Workers hold ``open_files`` open, for example a lock.

    If a worker dies, its unfinished runs are retried in halves until the run that crashes the worker is isolated; that
    run is marked failed. A signal to this process goes on to the workers, which close their records.
    """
    with parent_alive_pipe() as parent_alive:
        pool = _Pool(num_workers, progress, git, parent_alive, open_files)
        try:
            pool.train([_Task(batch.specs) for batch in batches])
        except BaseException as error:
            pool.stop(signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
            raise
        pool.shutdown()


class _Pool:
    def __init__(
        self, size: int, progress: ProgressReporter, git: GitState, parent_alive: int, open_files: Sequence[int]
    ) -> None:
        self.size = size
        self.progress = progress
        self.git = git
        self.parent_alive = parent_alive
        self.open_files = open_files
        self.workers: list[_Worker] = []
        self.tasks: list[_Task] = []

    def train(self, tasks: list[_Task]) -> None:
        self.tasks = tasks
        while self.tasks or any(worker.task for worker in self.workers):
            while self.tasks and (worker := self._idle_worker()) is not None:
                self._send(worker, self.tasks.pop(0))
            ready = wait([worker.pipe for worker in self.workers])
            for worker in [worker for worker in self.workers if worker.pipe in ready]:
                self._receive(worker)

    def _idle_worker(self) -> _Worker | None:
        for worker in self.workers:
            if worker.task is None:
                return worker
        if len(self.workers) == self.size:
            return None
        self.workers.append(_Worker(*start_worker(self.parent_alive, self.open_files)))
        return self.workers[-1]

    def _send(self, worker: _Worker, task: _Task) -> None:
        worker.task = task
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: the next thing received is its end
            worker.pipe.send((task.specs, self.git))

    def _receive(self, worker: _Worker) -> None:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._handle_death(worker)
            return
        if kind == "advance":
            self.progress.advance(content)
        elif kind == "scores":
            self.progress.report_scores(content)
        elif kind == "fail":
            self.progress.fail(*content)
        elif kind == "abort":
            raise RunFailed(content)
        else:
            self.progress.complete(content)
            worker.task = None

    def _handle_death(self, worker: _Worker) -> None:
        """Retry the runs of a dead worker whose folders are not complete."""
        self.workers.remove(worker)
        worker.process.join()
        code = worker.process.exitcode or 0
        task = worker.task
        if task is None:
            return
        records = zip(task.specs, read_records(task.specs), strict=True)
        done = [
            spec
            for spec, record in records
            if record.get("status") == RunStatus.DONE and record.get("config_hash") == spec.config_hash
        ]
        unfinished = [spec for spec in task.specs if spec not in done]
        self.progress.complete([RunResult(RunStatus.DONE, overrides=spec.overrides) for spec in done])
        if task.is_retry and len(unfinished) == 1:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            self._mark_failed(unfinished[0], f"its process {how}, again")
            return
        if len(task.specs) > 1:
            BatchCheckpoint(task.specs).delete()  # the halves start again: a later resume must not join them to it
        middle = -(-len(unfinished) // 2)
        for half in (unfinished[:middle], unfinished[middle:]):
            if half:
                self.tasks.append(_Task([replace(spec, is_retry=True) for spec in half], is_retry=True))

    def _mark_failed(self, spec: RunSpec, error: str) -> None:
        mark_failed(spec, error, RunFailed.exit_code)
        self.progress.complete(
            [RunResult(RunStatus.FAILED, error=error, exit_code=RunFailed.exit_code, overrides=spec.overrides)]
        )

    def shutdown(self) -> None:
        """Let the workers end."""
        for worker in self.workers:
            with suppress(OSError):
                worker.pipe.send(None)
        for worker in self.workers:
            worker.process.join()

    def stop(self, signal_number: int) -> None:
        """Pass a signal on, and wait until the workers have closed their records."""
        for worker in self.workers:
            assert worker.process.pid is not None  # it was started
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal_number)
        deadline = time.monotonic() + _SHUTDOWN_TIMEOUT
        for worker in self.workers:
            worker.pipe.close()
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
