"""What a process of ours does first, for its speed: threads, memory, and the import of torch."""

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
    """Import torch, after what counts only until then: threads of our own loops' kind only, and none that spin.

    It makes a quarter of a million objects that live as long as the process. The garbage collector is kept from
    walking them, now and later (most of all at the exit): a third of a short command's time.
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
    """Tell glibc to reuse large blocks, for a batch's temporaries otherwise fault their pages anew at each step.

    Elsewhere there is nothing to do. The same as MALLOC_MMAP_THRESHOLD_ and its like, which a process cannot set for
    itself.
    """
    mallopt = _libc("mallopt")
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, 1 << 30)
    mallopt(_TOP_PAD, 64 << 20)


def die_with_parent() -> None:
    """Have this process killed when its parent ends, even while it imports; elsewhere it ends after that."""
    prctl = _libc("prctl")
    if prctl is not None:
        prctl(_PDEATHSIG, signal.SIGKILL)


def _libc(name: str) -> Callable[..., int] | None:
    """Return a function of Linux's C library, where there is such a one."""
    if sys.platform != "linux":
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):  # another C library
        return None
    return found
