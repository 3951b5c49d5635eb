"""A signal waits for the write that it would cut in two."""

import os
import signal
import time

import pytest

from rasched.errors import Terminated
from rasched.runner.interrupts import Interrupts


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_is_raised_at_once_or_after_the_outermost_hold(number: int, error: type[BaseException]) -> None:
    signals, done = Interrupts(), []
    with signals.handled():
        with pytest.raises(error):
            os.kill(os.getpid(), number)
            done.append("after the signal")
        assert done == []
        with pytest.raises(error), signals.deferred():
            with signals.deferred():
                os.kill(os.getpid(), number)
                done.append("inside")
            done.append("outside")
        assert done == ["inside", "outside"]
        with signals.deferred():
            pass  # nothing is left over


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts().handled():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_waits_for_a_checkpoint_but_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasched.runner.interrupts._CHECKPOINT_TIMEOUT", 0.05)
    signals = Interrupts()
    with signals.handled():
        signals.await_checkpoint(True)
        signal.raise_signal(signal.SIGTERM)
        assert signals.is_pending
        with pytest.raises(Terminated):
            signals.await_checkpoint(False)
        signals.await_checkpoint(True)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            for _ in range(1000):  # the handler runs between two steps
                time.sleep(0.01)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
