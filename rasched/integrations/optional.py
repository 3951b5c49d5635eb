"""What to say, and how to find out, when a framework is not installed."""

from __future__ import annotations

import importlib.util
import sys


def missing(framework: str, extra: str) -> ImportError:
    """Return the error that names the package to install, for an adapter whose framework cannot be imported."""
    return ImportError(f"this adapter needs {framework}, which is not installed: pip install 'rasched[{extra}]'")


def require(framework: str, extra: str) -> None:
    """Raise that error unless the framework is there; it is not imported, which would cost seconds."""
    if framework in sys.modules:
        present = sys.modules[framework] is not None
    else:
        present = importlib.util.find_spec(framework) is not None
    if not present:
        raise missing(framework, extra)
