"""Processes that train tiles of a sweep for :mod:`rasched.runner.worker_pool`, told what to do by a pipe.

They are forked from a server, a process that has imported everything and does nothing else. Importing torch takes a
second; so the server is started as early as can be, and every worker after it in a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from types import ModuleType
from typing import Any

from rasched.errors import Terminated
from rasched.runner.interrupts import SIGNALS
from rasched.runner.process_setup import import_torch
from rasched.runner.progress import Ended, Feed, Progress


def start_fork_server() -> None:
    """Start the server, unless it runs; it gets ready in the background."""
    multiprocessing.set_forkserver_preload(["rasched.runner.worker_preload"])
    resource_tracker.ensure_running()  # first: it takes off the mask that it finds
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is not for the server, which inherits
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(files: Sequence[int]) -> tuple[ForkServerProcess, Connection]:
    """Return a new worker and our end of its pipe; it holds the files open, and ends when the first one is closed."""
    ours, theirs = multiprocessing.Pipe()
    given = [theirs, *(Connection(os.dup(number), writable=False) for number in files)]
    process = _fork(main, given)
    for each in given:
        each.close()
    return process, ours


def call_in_subprocess(module: str, name: str, *words: Any) -> Any:
    """Return what a function of a module, called in a process of its own, returns; what it raises is raised here."""
    ours, theirs = multiprocessing.Pipe()
    process = _fork(_answer, [theirs, module, name, *words])
    theirs.close()
    try:
        answer, error = ours.recv()
    except EOFError as ended:
        raise RuntimeError(f"the process that was to do {name} has died") from ended
    finally:
        ours.close()
        process.join()
    if error is not None:
        raise error
    return answer


def _fork(target: Callable[..., None], words: Sequence[Any]) -> ForkServerProcess:
    start_fork_server()
    process = multiprocessing.get_context("forkserver").Process(target=target, args=words)
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # of which a process would run the file once more
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script
    return process


def _answer(pipe: Connection, module: str, name: str, *words: Any) -> None:
    os.setsid()
    import_torch()
    try:
        answer, failure = getattr(import_module(module), name)(*words), None
    except Exception as error:
        answer, failure = None, error
    with suppress(BrokenPipeError):  # who asked has ended
        pipe.send((answer, failure))


def main(pipe: Connection, leash: Connection, *held: Connection) -> None:
    """Train what comes until nothing does; end at once when the process that holds the leash has ended."""
    os.setsid()  # Ctrl-C reaches the first process alone, which passes it on once
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # --json promises that nothing else stands there
    import_torch()
    try:
        with SIGNALS.raised():
            threading.Thread(target=_end_with, args=(leash,), daemon=True).start()
            _work(pipe)
    except (KeyboardInterrupt, Terminated, EOFError, BrokenPipeError):
        sys.exit(Terminated.exit_code)


def _work(pipe: Connection) -> None:
    from rasched.runner.run_batch import execute

    while (task := pipe.recv()) is not None:
        plans, git = task
        try:
            results = execute(plans, Feed(_Sent(pipe)), git)
        except (KeyboardInterrupt, Terminated):  # the records say so
            return
        pipe.send(("tile", [result.ended() for result in results]))


class _Sent(Progress):
    """Sends what it is told to the process that started this one."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self.pipe = pipe

    def advance(self, run_steps: int) -> None:
        self.pipe.send(("advance", run_steps))

    def failed(self, overrides: Sequence[str], reason: str) -> None:
        self.pipe.send(("failed", Ended(tuple(overrides), "failed", reason)))


def _end_with(leash: Connection) -> None:
    os.read(leash.fileno(), 1)  # nothing is ever written: it returns when no process holds the other end
    os._exit(Terminated.exit_code)
