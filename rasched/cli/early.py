"""A head start for sweeps: what their workers are forked from imports torch while typer and Hydra get going."""

from __future__ import annotations

from collections.abc import Sequence

_SWEEPS = ("-m", "--multirun")
_HARMLESS = ("--debug", "--json")


def get_ready(words: Sequence[str]) -> None:
    """Start it if the words look like a sweep of ours.

    Those with other flags, or that name a launcher or sweeper, do not. A configuration may name one all the same: then
    it was started in vain.
    """
    plain = [word for word in words if word not in (*_SWEEPS, *_HARMLESS)]
    many = plain[:1] == ["sweep"] or (plain[:1] == ["run"] and any(word in words for word in _SWEEPS))
    if many and not any(word.startswith(("-", "hydra/")) for word in plain):
        from rasched.runner.worker import AVAILABLE, warm_up

        if AVAILABLE:
            warm_up()
