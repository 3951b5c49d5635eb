"""Imported once by the process from which workers are forked: all that they need, ready in each of them at once.

The first process that is forked checks a sweep's jobs; what only training needs is imported behind its back.
"""

import os
import signal

from rasched.runner.process_setup import die_with_parent, import_torch

die_with_parent()
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
import_torch()

from rasched.runner import batching as tiles  # noqa: E402, F401


def _import_the_rest() -> None:
    import rasched.runner.run_batch  # noqa: F401


os.register_at_fork(after_in_parent=_import_the_rest)
