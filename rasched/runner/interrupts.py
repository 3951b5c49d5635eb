"""Handle Ctrl-C and SIGTERM at any moment, except in the middle of a write.

An exception between the two halves of a flush would leave its rows written and still pending, so that closing the
records would write them once more. A signal that arrives while records are written therefore waits until they are.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rasched.errors import Terminated

_EXCEPTIONS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


class Interrupts:
    """The signal handlers of a process. There is one object (:data:`INTERRUPTS`), as there is one process."""

    def __init__(self) -> None:
        self._num_deferrals = 0
        self._pending: int | None = None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Raise KeyboardInterrupt and Terminated inside; in a thread other than the main one, change nothing."""
        previous: dict[int, Any] = {}
        try:
            for number in _EXCEPTIONS:
                previous[number] = signal.signal(number, self._handle)
        except ValueError:  # only the main thread may set handlers
            pass
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let signals wait until the end of the block, and raise there."""
        self.defer()
        try:
            yield
        finally:
            self.resume()

    def defer(self) -> None:
        """Let signals wait until :meth:`resume`. The pair is faster than :meth:`deferred`, for use at each step."""
        self._num_deferrals += 1

    def resume(self) -> None:
        """Raise for the signal that came meanwhile, unless an outer block still defers it."""
        self._num_deferrals -= 1
        if self._pending is not None and not self._num_deferrals:
            number, self._pending = self._pending, None
            raise _EXCEPTIONS[number]

    def _handle(self, number: int, frame: object) -> None:
        if self._num_deferrals:
            self._pending = number
        else:
            raise _EXCEPTIONS[number]


INTERRUPTS = Interrupts()
