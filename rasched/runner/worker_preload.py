"""Import, once, what workers need. Only the server imports this module, and its workers are forked from it.

The first process that is forked validates a sweep's jobs. What only training needs is imported after that fork, while
the jobs are validated.
"""

import os
import signal

from rasched.runner.process_setup import die_with_parent, import_torch

die_with_parent(int(os.environ["RASCHED_PARENT_PID"]) if "RASCHED_PARENT_PID" in os.environ else None)
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
import_torch()

import rasched.compose.settings  # noqa: E402
import rasched.runner.batching  # noqa: E402, F401


def _import_what_training_needs() -> None:
    import rasched.runner.run_batch  # noqa: F401


os.register_at_fork(after_in_parent=_import_what_training_needs)
