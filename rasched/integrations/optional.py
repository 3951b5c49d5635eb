"""Check for optional frameworks without importing them."""

from __future__ import annotations

import importlib.util
import sys


def missing(framework: str, extra: str) -> ImportError:
    """Return the error for a framework that is not installed; it names the extra to install."""
    return ImportError(f"this adapter needs {framework}, which is not installed: pip install 'rasched[{extra}]'")


def require(framework: str, extra: str) -> None:
    """Raise ImportError if the framework is not installed; do not import it, which would cost seconds."""
    if framework in sys.modules:
        is_installed = sys.modules[framework] is not None
    else:
        is_installed = importlib.util.find_spec(framework) is not None
    if not is_installed:
        raise missing(framework, extra)
