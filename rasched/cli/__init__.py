"""The command line: first a head start for a sweep's workers, then the commands of :mod:`rasched.cli.app`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

_SWEEPS = ("-m", "--multirun")
_HARMLESS = ("--debug", "--json")


def main() -> None:
    """Run the command line; ``--debug`` counts wherever it stands."""
    words = sys.argv[1:]
    if "--debug" in words:
        words = ["--debug", *(word for word in words if word != "--debug")]
    try:
        _get_ready(words)
        from rasched.cli.app import app

        app(args=words, prog_name="rasched")
    finally:
        gc.freeze()  # the last collection would walk all there is, for nothing


def _get_ready(words: Sequence[str]) -> None:
    """Start what workers are forked from, if the words look like a sweep of ours.

    It imports torch while typer and Hydra get going. Words with other flags, or that name a launcher or sweeper, do not
    look so. A configuration may name one all the same: then it was started in vain.
    """
    plain = [word for word in words if word not in (*_SWEEPS, *_HARMLESS)]
    many = plain[:1] == ["sweep"] or (plain[:1] == ["run"] and any(word in words for word in _SWEEPS))
    if many and not any(word.startswith(("-", "hydra/")) for word in plain):
        from rasched.runner.worker import start_fork_server

        start_fork_server()
