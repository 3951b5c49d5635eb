"""Set up a process for speed: threads, memory, the import of torch; and end it with its parent."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>
_PDEATHSIG = 1  # <linux/prctl.h>


def import_torch() -> None:
    """Import torch, after the settings that count only before it: one thread, and none that spins.

    The import makes a quarter of a million objects that live as long as the process. The garbage collector is kept from
    walking them, now and later (most of all at the exit): that is a third of a short command's time.
    """
    if "torch" in sys.modules:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    tune_malloc()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.enable()
    gc.freeze()


def tune_malloc() -> None:
    """Make glibc reuse large blocks, because a batch's temporaries otherwise fault their pages anew at each step.

    The settings are those of MALLOC_MMAP_THRESHOLD_ and its like, which a process cannot set for itself. On other
    systems this does nothing.
    """
    mallopt = _libc_function("mallopt")
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, 1 << 30)
    mallopt(_TOP_PAD, 64 << 20)


def die_with_parent(parent_pid: int | None = None) -> None:
    """Have the system kill this process as soon as its parent ends, even while it imports; Linux only.

    ``parent_pid`` is the parent's, if it is known: it may have ended before this call.
    """
    prctl = _libc_function("prctl")
    if prctl is None:
        return
    prctl(_PDEATHSIG, signal.SIGKILL)
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(1)


def _libc_function(name: str) -> Callable[..., int] | None:
    """Return a function of Linux's C library, or None if there is none."""
    if sys.platform != "linux":
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):  # another C library
        return None
    return function
