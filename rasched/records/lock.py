"""One process at a time in a folder of records: the kernel lets go of the lock however its holders end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rasched.errors import UsageError


@contextmanager
def lock_dir(folder: Path) -> Iterator[tuple[int, ...]]:
    """Hold a folder; a UsageError where another process holds it, or a worker of one that has died.

    Yields the open files that keep it held, for workers to inherit; none where the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield ()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{folder} is being worked on by another process; wait for its end, or stop it") from error
        except OSError:  # a file system without locks
            yield ()
            return
        yield (handle,)
    finally:
        os.close(handle)
