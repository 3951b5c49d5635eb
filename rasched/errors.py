"""What a caller of the runner handles differently, and the exit code that each one means."""

from __future__ import annotations


class UsageError(ValueError):
    """Settings or words that cannot be run; the message is one sentence that shows the way out. Nothing was written."""

    exit_code = 2


class RunFailed(RuntimeError):
    """A run started and could not finish; its folder says so and keeps what it had recorded."""

    exit_code = 3


class CheckpointError(UsageError):
    """A checkpoint cannot be used: it is damaged, or belongs to another configuration."""


class DamagedFileError(RunFailed):
    """A file of a run cannot be read, or is not what was written; the message names it."""


class Terminated(BaseException):
    """SIGTERM arrived. A BaseException, as KeyboardInterrupt is: nobody may take it for a failure of the run."""

    exit_code = 143
