"""Processes that train the batches of a sweep for :mod:`rasched.runner.worker_pool`, and get their work by a pipe.

They are forked from a server: a process that has imported everything and does nothing else. Importing torch takes a
second, so the server is started as early as possible, and every worker is then ready in a few milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from rasched.errors import RunFailed, Terminated
from rasched.runner.interrupts import INTERRUPTS
from rasched.runner.process_setup import import_torch
from rasched.runner.progress import ScoreReporter

if TYPE_CHECKING:
    from rasched.runner.running_scores import Means

T = TypeVar("T")
PARENT_PID = "RASCHED_PARENT_PID"  # in the environment of the server


def start_fork_server() -> None:
    """Start the server, unless it runs; it gets ready in the background."""
    multiprocessing.set_forkserver_preload(["rasched.runner.worker_preload"])
    resource_tracker.ensure_running()  # first, because it removes the signal mask that it finds
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # inherited: Ctrl-C does not reach the server
    os.environ[PARENT_PID] = str(os.getpid())
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[PARENT_PID]
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def start_worker(parent_alive: int, open_files: Sequence[int]) -> tuple[ForkServerProcess, Connection]:
    """Return a new worker and this process's end of its pipe.

    The worker ends as soon as the pipe ``parent_alive`` is closed, and holds ``open_files`` open until it ends.
    """
    ours, theirs = multiprocessing.Pipe()
    process = _fork(_run_worker, theirs, parent_alive, open_files, ())
    return process, ours


def call_in_subprocess(function: Callable[..., T], *args: Any) -> T:
    """Return what the function returns in a forked process; what it raises there is raised here.

    The function must be importable by its name. Its module should not import torch at its top if this process is not
    to import torch.
    """
    ours, theirs = multiprocessing.Pipe()
    with parent_alive_pipe() as parent_alive:
        process = _fork(_run_call, theirs, parent_alive, (), (function, *args))
        try:
            result, error = ours.recv()
        except EOFError as ended:
            raise RuntimeError(f"the process that ran {function.__name__} has died") from ended
        finally:
            ours.close()
            process.join()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


@contextmanager
def parent_alive_pipe() -> Iterator[int]:
    """Yield the read end of a pipe. It closes when this process exits, so that workers can detect that."""
    read_end, write_end = os.pipe()
    try:
        yield read_end
    finally:
        os.close(read_end)
        os.close(write_end)


def _fork(
    target: Callable[..., None], pipe: Connection, parent_alive: int, open_files: Sequence[int], args: Sequence[Any]
) -> ForkServerProcess:
    """Start a process; the connections that it gets are closed in this one."""
    start_fork_server()
    copies = [Connection(os.dup(number), writable=False) for number in (parent_alive, *open_files)]
    process = multiprocessing.get_context("forkserver").Process(target=target, args=(pipe, copies, *args))
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # otherwise the process would run the script's file again
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script
        for connection in (pipe, *copies):
            connection.close()
    return process


def _run_call(pipe: Connection, held: Sequence[Connection], function: Callable[..., Any], *args: Any) -> None:
    """Send the result of a call, or what it raised."""
    os.setsid()
    _exit_with_parent(held[0])
    import_torch()
    answer: tuple[Any, Exception | None]
    try:
        answer = function(*args), None
    except Exception as error:
        answer = None, error
    with suppress(BrokenPipeError):  # the parent has ended
        pipe.send(answer)


def _run_worker(pipe: Connection, held: Sequence[Connection]) -> None:
    """Train the batches that arrive until None does; ``held`` are the parent's pipe and files to hold open."""
    os.setsid()  # Ctrl-C reaches the parent alone, which passes it on once
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # --json promises that nothing else is written to stdout
    _exit_with_parent(held[0])
    import_torch()
    try:
        with INTERRUPTS.handled():
            _train_batches(pipe)
    except (KeyboardInterrupt, Terminated, EOFError, BrokenPipeError):
        sys.exit(Terminated.exit_code)


def _train_batches(pipe: Connection) -> None:
    from rasched.runner.run_batch import train_batch

    while (task := pipe.recv()) is not None:
        specs, git = task
        try:
            results = train_batch(specs, _PipeProgress(pipe), git)
        except (KeyboardInterrupt, Terminated):  # the runs' files say so
            return
        except RunFailed as error:
            pipe.send(("abort", str(error)))
            return
        pipe.send(("complete", [replace(result, exception=None) for result in results]))


class _PipeProgress(ScoreReporter):
    """Sends what is reported to the parent."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def advance(self, num_run_steps: int) -> None:
        self._pipe.send(("advance", num_run_steps))

    def report_scores(self, means: Means) -> None:
        self._pipe.send(("scores", means))

    def fail(self, overrides: Sequence[str], error: str) -> None:
        self._pipe.send(("fail", (tuple(overrides), error)))


def _exit_with_parent(parent_alive: Connection) -> None:
    """Start a thread that ends this process when no process holds the other end of the pipe."""

    def wait() -> None:
        os.read(parent_alive.fileno(), 1)  # nothing is ever written, so this returns when the other end is closed
        os._exit(Terminated.exit_code)

    threading.Thread(target=wait, daemon=True).start()
