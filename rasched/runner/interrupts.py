"""Handle Ctrl-C and SIGTERM at any moment, except in the middle of a write.

An exception between the two halves of a flush would leave its rows written and still pending, so that closing the
records would write them once more. A signal that arrives while records are written therefore waits until they are.
While a run trains, a signal also waits for the next moment at which the state can be saved, but not for long.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rasched.errors import Terminated

_CHECKPOINT_TIMEOUT = 1.0  # seconds that a signal waits for the next moment at which the state can be saved
_EXCEPTIONS: dict[int, type[BaseException]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


class Interrupts:
    """The signal handlers of a process. There is one object (:data:`INTERRUPTS`), as there is one process."""

    def __init__(self) -> None:
        self._num_deferrals = 0
        self._pending: int | None = None
        self._awaits_checkpoint = False
        self._is_handling = False
        self.raised: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code for the signal that was raised since :meth:`handled` began; None if there was none.

        It tells more than the exception that arrives: a module that is interrupted in its import may turn ours into
        one of its own.
        """
        return None if self.raised is None else 128 + self.raised

    @property
    def is_pending(self) -> bool:
        """Whether a signal waits."""
        return self._pending is not None

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Raise KeyboardInterrupt and Terminated inside; in a thread other than the main one, change nothing."""
        if self._is_handling:
            yield
            return
        previous: dict[int, Any] = {}
        self._is_handling, self.raised = True, None
        try:
            for number in _EXCEPTIONS:
                previous[number] = signal.signal(number, self._handle)
            if hasattr(signal, "setitimer"):
                previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._stop_waiting)
        except ValueError:  # only the main thread may set handlers
            pass
        try:
            yield
        finally:
            self._is_handling = False
            self._set_timer(0)
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
        """Raise for the signal that came meanwhile, unless something still defers it."""
        self._num_deferrals -= 1
        self._raise_pending()

    def await_checkpoint(self, is_awaited: bool) -> None:
        """Let signals wait, for a second at most, until this is called with False."""
        self._awaits_checkpoint = is_awaited
        self._raise_pending()

    def _raise_pending(self) -> None:
        if self._pending is not None and not self._num_deferrals and not self._awaits_checkpoint:
            number, self._pending = self._pending, None
            self.raised = number
            self._set_timer(0)
            raise _EXCEPTIONS[number]

    def _handle(self, number: int, frame: object) -> None:
        self._pending = number
        if self._awaits_checkpoint:
            self._set_timer(_CHECKPOINT_TIMEOUT)
        self._raise_pending()

    def _stop_waiting(self, number: int, frame: object) -> None:
        if self._pending is not None:
            self.await_checkpoint(False)

    def _set_timer(self, seconds: float) -> None:
        """Let :meth:`_stop_waiting` be called after a time; 0 cancels it. Windows has no such timer."""
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, seconds)


INTERRUPTS = Interrupts()
