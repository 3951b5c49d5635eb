"""Turn an exception into one sentence on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback


def exit_code_for(error: BaseException, debug: bool) -> int | None:
    """Print what went wrong and return the exit code; None if the exception is not to be explained here."""
    from rasched.errors import RunFailed, Terminated, UsageError

    if isinstance(error, Terminated):
        return Terminated.exit_code
    if isinstance(error, BrokenPipeError) or not isinstance(error, Exception) or _is_typer_error(error):
        return None
    if debug:
        traceback.print_exception(error)
    if isinstance(error, (UsageError, RunFailed)):
        print_error(str(error))
        return error.exit_code
    print_error(
        f"internal error, please report it with the output of --debug ({type(error).__name__}: {_one_line(error)})"
    )
    return 1


def print_error(sentence: str) -> None:
    """Print one line to stderr."""
    print(f"rasched: {sentence}", file=sys.stderr)


def _is_typer_error(error: Exception) -> bool:
    return hasattr(error, "exit_code") and hasattr(error, "show")  # typer prints it; its class has moved before


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
