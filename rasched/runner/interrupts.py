"""Ctrl-C and SIGTERM, at any moment but in the middle of a write.

An exception between the two halves of a flush would leave its rows written and still pending, to be written once more
when the records are closed. So a signal that arrives while records are written waits until they are.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rasched.errors import Terminated

_RAISED: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


class Signals:
    """The handlers of a process; there is one object, as there is one process (:data:`SIGNALS`)."""

    def __init__(self) -> None:
        self._held = 0
        self._waiting: int | None = None

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise KeyboardInterrupt and Terminated inside; in a thread that is not the main one, change nothing."""
        before: dict[int, Any] = {}
        try:
            for number in _RAISED:
                before[number] = signal.signal(number, self._arrive)
        except ValueError:  # only the main thread may set handlers
            pass
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait until the end of the block, and raise there."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Begin to let signals wait, until :meth:`release`: :meth:`held`, for once a step."""
        self._held += 1

    def release(self) -> None:
        """Raise for the signal that came meanwhile, unless an outer block still holds it."""
        self._held -= 1
        if self._waiting is not None and not self._held:
            number, self._waiting = self._waiting, None
            raise _RAISED[number]

    def _arrive(self, number: int, frame: object) -> None:
        if self._held:
            self._waiting = number
        else:
            raise _RAISED[number]


SIGNALS = Signals()
