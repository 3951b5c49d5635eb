"""One process that trains tiles of a sweep: started by :mod:`rasched.runner.processes`, told what to do by a pipe."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection

from rasched.runner.errors import Terminated
from rasched.runner.progress import Ended, Progress
from rasched.runner.signals import SIGNALS


def work(pipe: Connection, leash: int) -> None:
    """Train what comes until nothing does; end at once when the process that holds the leash has ended."""
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()
    from rasched.runner.execute import execute
    from rasched.runner.progress import Feed

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
        self.pipe = pipe

    def advance(self, run_steps: int) -> None:
        self.pipe.send(("advance", run_steps))

    def failed(self, overrides: Sequence[str], reason: str) -> None:
        self.pipe.send(("failed", Ended(tuple(overrides), "failed", reason)))


def _end_with(leash: int) -> None:
    os.read(leash, 1)  # nothing is ever written: it returns when no process holds the other end
    os._exit(Terminated.exit_code)


def main(words: Sequence[str]) -> None:
    """Take the numbers of the two open files."""
    from rasched.runner.startup import import_torch

    import_torch()
    pipe, leash = map(int, words)
    try:
        with SIGNALS.raised():
            work(Connection(pipe), leash)
    except (KeyboardInterrupt, Terminated, EOFError, BrokenPipeError):
        sys.exit(Terminated.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
