"""Tiles of a sweep over processes, each with one thread; one that dies costs its own runs only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess

from rasched.errors import RunFailed, Terminated
from rasched.records.run_json import GitState, RunJson, is_done
from rasched.runner.progress import Ended, Progress
from rasched.runner.run_spec import Batch_, RunSpec
from rasched.runner.worker import start

_PATIENCE = 30.0  # seconds for workers to close their records after a signal


@dataclass
class _Task:
    plans: list[RunSpec]
    again: bool = False


@dataclass
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    task: _Task | None = None


def train_in_workers(
    tiles: Sequence[Batch_], workers: int, progress: Progress, git: GitState, keep: Sequence[int]
) -> None:
    """Train the tiles, each worker one at a time; ``keep`` are files for them to hold open, as a lock.

    A worker that is killed costs the runs of its tile that are not complete. They are tried again in two halves, and
    halves of these, until a run that takes its process with it is alone, and recorded as failed. A signal to this
    process goes on to the workers, which close their records.
    """
    with _leash() as leash:
        pool = _Pool(workers, progress, git, (leash, *keep))
        try:
            pool.train([_Task(tile.plans) for tile in tiles])
        except BaseException as error:
            pool.stop(signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)
            raise
        pool.dismiss()


class _Pool:
    def __init__(self, size: int, progress: Progress, git: GitState, files: tuple[int, ...]) -> None:
        self.progress = progress
        self.git = git
        self.files = files
        self.size = size
        self.workers: list[_Worker] = []
        self.tasks: list[_Task] = []

    def train(self, tasks: list[_Task]) -> None:
        self.tasks = tasks
        while self.tasks or any(worker.task for worker in self.workers):
            while self.tasks and (worker := self._idle()) is not None:
                worker.task = self.tasks.pop(0)
                self._give(worker)
            for ready in wait([worker.pipe for worker in self.workers]):
                self._hear(next(worker for worker in self.workers if worker.pipe is ready))

    def _idle(self) -> _Worker | None:
        for worker in self.workers:
            if worker.task is None:
                return worker
        return self._start() if len(self.workers) < self.size else None

    def _give(self, worker: _Worker) -> None:
        assert worker.task is not None
        try:
            worker.pipe.send((worker.task.plans, self.git))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has died: what it says next is the end of its pipe

    def _start(self) -> _Worker:
        self.workers.append(_Worker(*start(self.files)))
        return self.workers[-1]

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, said = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._bury(worker)
            return
        if kind == "advance":
            self.progress.advance(said)
        elif kind == "failed":
            self.progress.failed(said.overrides, said.reason)
        else:
            self.progress.ended(said)
            worker.task = None

    def _bury(self, worker: _Worker) -> None:
        """Have the runs of a dead worker tried once more, those whose folders are not complete."""
        self.workers.remove(worker)
        worker.process.join()
        code = worker.process.exitcode or 0
        task = worker.task
        if task is None:
            return
        left: list[RunSpec] = []
        for plan in task.plans:
            if is_done(plan.folder, plan.identity):
                self.progress.ended([Ended(tuple(plan.overrides), "done")])
            else:
                left.append(plan)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if task.again and len(left) == 1:
            self._lost(left[0], f"its process {how}, again")
            return
        middle = -(-len(left) // 2)
        for half in (left[:middle], left[middle:]):
            if half:
                self.tasks.append(_Task([replace(plan, again=True) for plan in half], again=True))

    def _lost(self, plan: RunSpec, reason: str) -> None:
        record = RunJson.of(plan.folder, overrides=plan.overrides, identity=plan.identity, seed=plan.config["seed"])
        record.update(status="failed", exit_code=RunFailed.exit_code, reason=reason)
        self.progress.ended([Ended(tuple(plan.overrides), "failed", reason)])

    def dismiss(self) -> None:
        """Let the workers end."""
        for worker in self.workers:
            with suppress(OSError):
                worker.pipe.send(None)
        for worker in self.workers:
            worker.process.join()

    def stop(self, number: int) -> None:
        """Pass a signal on, and wait until the workers have closed their records."""
        for worker in self.workers:
            assert worker.process.pid is not None  # it was started
            with suppress(ProcessLookupError):
                os.kill(worker.process.pid, number)
        deadline = time.monotonic() + _PATIENCE
        for worker in self.workers:
            worker.pipe.close()
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()


@contextmanager
def _leash() -> Iterator[int]:
    """Give the reading end of a pipe that nobody writes to: its readers learn when this process ends."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)
