"""What a process of ours does first, for its speed: threads, memory, and the import of torch."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>


def import_torch() -> None:
    """Import torch, after what counts only until then: threads of our own loops' kind only, and none that spin.

    It makes a quarter of a million objects that live as long as the process. The garbage collector is kept from
    walking them, now and later (most of all at the exit): a third of a short command's time.
    """
    if "torch" in sys.modules:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_memory()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.enable()
    gc.freeze()


def keep_memory() -> None:
    """Tell glibc to reuse large blocks, for a batch's temporaries otherwise fault their pages anew at each step.

    Elsewhere there is nothing to do. The same as MALLOC_MMAP_THRESHOLD_ and its like, which a process cannot set for
    itself.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, 1 << 30)
    mallopt(_TRIM_THRESHOLD, 1 << 30)
    mallopt(_TOP_PAD, 64 << 20)
