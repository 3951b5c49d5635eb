"""From an exception to a sentence on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback


def code_of(error: BaseException, debug: bool) -> int | None:
    """Say what went wrong and return the exit code; None for what is not a failure of ours to explain."""
    from rasched.errors import RunFailed, Terminated, UsageError

    if isinstance(error, Terminated):
        return Terminated.exit_code
    if isinstance(error, BrokenPipeError) or not isinstance(error, Exception) or _is_click(error):
        return None
    if debug:
        traceback.print_exception(error)
    if isinstance(error, (UsageError, RunFailed)):
        say(str(error))
        return error.exit_code
    say(f"this is a bug in rasched, please report it with what --debug shows ({type(error).__name__}: {error})")
    return 1


def say(sentence: str) -> None:
    """Print one line to stderr."""
    print(f"rasched: {sentence}", file=sys.stderr)


def _is_click(error: Exception) -> bool:
    return hasattr(error, "exit_code") and hasattr(error, "show")  # Typer's own, which it prints itself
