"""``rasched --version``."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def show() -> None:
    """Print the version of the installed package."""
    try:
        print(f"rasched {version('rasched')}")
    except PackageNotFoundError:
        print("rasched, from a checkout that is not installed")
