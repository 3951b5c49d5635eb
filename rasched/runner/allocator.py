"""Memory that stays with the process: a batch's temporaries otherwise fault their pages anew at each step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # <malloc.h>


def keep_memory() -> None:
    """Tell glibc to reuse large blocks rather than to give them back; elsewhere there is nothing to do.

    The same as MALLOC_MMAP_THRESHOLD_ and its like, which a process cannot set for itself.
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
