"""Imported once by the process from which workers are forked: all that they need, ready in each of them at once."""

import signal

from rasched.runner.startup import end_with_parent, import_torch

end_with_parent()
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
import_torch()

from rasched.runner import execute, tiles  # noqa: E402, F401
