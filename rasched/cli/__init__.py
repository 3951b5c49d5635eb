"""The command line: start the workers' server early, then call the commands of :mod:`rasched.cli.app`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from rasched.errors import Terminated
from rasched.runner.interrupts import INTERRUPTS

_MULTIRUN_FLAGS = ("-m", "--multirun")
_NEUTRAL_FLAGS = ("--debug", "--json")


def main() -> None:
    """Run the command line. ``--debug`` may stand anywhere in it."""
    args = sys.argv[1:]
    if "--debug" in args:
        args = ["--debug", *(arg for arg in args if arg != "--debug")]
    try:
        with INTERRUPTS.handled():
            _prewarm_workers(args)
            from rasched.cli.app import app

            app(args=args, prog_name="rasched")
    except (Exception, KeyboardInterrupt, Terminated):  # the commands handle their own: this came from an import
        if INTERRUPTS.exit_code is None:
            raise
        sys.exit(INTERRUPTS.exit_code)
    finally:
        _flush_stdout()
        gc.freeze()  # the last collection would walk all objects, for nothing


def _flush_stdout() -> None:
    """Write what is still buffered; if the reader has gone, drop it, or Python would report it when it ends."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prewarm_workers(args: Sequence[str]) -> None:
    """Start the server from which workers are forked, if the arguments look like a sweep with our launcher.

    It imports torch while typer and Hydra are imported here. A command with other flags, or that names a launcher or a
    sweeper, gets no server. If only a configuration file names one, the server was started for nothing.
    """
    rest = [arg for arg in args if arg not in (*_MULTIRUN_FLAGS, *_NEUTRAL_FLAGS)]
    is_sweep = rest[:1] == ["sweep"] or (rest[:1] == ["run"] and any(arg in args for arg in _MULTIRUN_FLAGS))
    if is_sweep and not any(arg.startswith(("-", "hydra/")) for arg in rest):
        from rasched.runner.worker import start_fork_server

        start_fork_server()
