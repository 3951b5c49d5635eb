"""Refuse what would not fit into memory before it is allocated: the system may grant it, and end the process later."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_CGROUPS, _CGROUP_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def check_memory(settings: str, num_bytes: int) -> None:
    """Raise a ValueError, which names the settings, if this process may not have that much memory."""
    limit = memory_limit()
    if limit is not None and num_bytes > limit:
        raise ValueError(
            f"{settings} needs about {_format_bytes(num_bytes)} of memory, and this machine has"
            f" {_format_bytes(limit)}: choose a smaller number"
        )


@cache
def memory_limit() -> int | None:
    """Return the bytes of the machine, or of the container or job that this process is in; None if not known."""
    limits = list(_cgroup_limits())
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def _cgroup_limits() -> Iterator[int]:
    """Yield the limits of the process's control groups; version 2 has one hierarchy, version 1 one for memory."""
    try:
        lines = _CGROUP_OF_PROCESS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers not in ("", "memory"):
            continue
        root = _CGROUPS / controllers
        for folder in (root / path.lstrip("/"), *(root / path.lstrip("/")).parents):
            if folder.is_relative_to(root):
                yield from _read_number(folder / ("memory.limit_in_bytes" if controllers else "memory.max"))


def _read_number(path: Path) -> Iterator[int]:
    try:
        yield int(path.read_text())
    except (OSError, ValueError):  # no such group here, or "max"
        return


def _format_bytes(num_bytes: int) -> str:
    """Return a number of bytes with two digits."""
    exponent = min((len(str(num_bytes)) - 1) // 3, len(_UNITS) - 1)
    return f"{float(f'{num_bytes / 1000**exponent:.2g}'):,g} {_UNITS[exponent]}"
