"""Turn an exception into one sentence on stderr and an exit code."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Sequence


def exit_code_for(error: BaseException, debug: bool) -> int | None:
    """Print what went wrong and return the exit code; None if the exception is not to be explained here."""
    from rasched.errors import RunFailed, UsageError

    if isinstance(error, BrokenPipeError) or not isinstance(error, Exception) or _is_typer_error(error):
        return None
    if debug:
        traceback.print_exception(error)
    if isinstance(error, (UsageError, RunFailed)):
        print_error(str(error))
        return error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        print_error(f"{error.filename or 'the output folder'} cannot be written: {error.strerror}; make room there")
        return RunFailed.exit_code
    print_error(
        f"internal error, please report it with the output of --debug ({type(error).__name__}: {_one_line(error)})"
    )
    return 1


def unknown_command(name: str, commands: list[str]) -> Exception:
    """Return the UsageError for a command that does not exist."""
    from rasched.compose.error_messages import choose, complete_override
    from rasched.errors import UsageError
    from rasched.validation import did_you_mean

    override = choose(name) or (complete_override(name) if "=" in name else None)
    if override:
        return UsageError(f"there is no command {name!r}; to train with it: rasched run {override}")
    return UsageError(
        f"there is no command {name!r}; known commands: {', '.join(sorted(commands))}{did_you_mean(name, commands)}"
    )


def print_error(sentence: str) -> None:
    """Print one line to stderr."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)  # a name may hold control characters
    print(f"rasched: {printable}", file=sys.stderr)


def print_damaged(sentences: Sequence[str]) -> int:
    """Name the files that could not be read on stderr; return the exit code, 3 if there are any."""
    from rasched.errors import RunFailed

    for sentence in dict.fromkeys(sentences):
        print(f"rasched: warning: {sentence}", file=sys.stderr)
    return RunFailed.exit_code if sentences else 0


def _is_typer_error(error: Exception) -> bool:
    return hasattr(error, "exit_code") and hasattr(error, "show")  # typer prints it; its class has moved before


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
