"""``rasched run``: the words to one run, to a sweep, or to what Hydra shows of itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rasched.runner.errors import RunFailed
from rasched.runner.signals import SIGNALS

if TYPE_CHECKING:
    from rasched.cli.words import Words
    from rasched.runner.compose import Composer


def run_words(words: Sequence[str], as_json: bool) -> int:
    """Do what the words say and return the exit code."""
    before_torch()
    from rasched.cli.words import parse

    said = parse(words)
    with SIGNALS.raised():
        if said.shows:
            from rasched.cli.showing import show

            return show(said)
        composer = _composer(said)
        if not composer.is_sweep(said.overrides, said.multirun):
            return _one(composer, said.overrides, as_json)
        return _sweep(composer, said.overrides, as_json)


def _one(composer: Composer, overrides: Sequence[str], as_json: bool) -> int:
    from rasched.cli.panel import print_json, run_panel
    from rasched.runner.run import run
    from rasched.runner.watch import Bar, Watch

    watch = Bar() if sys.stderr.isatty() else Watch()
    result = run(composer, overrides, watch)
    if as_json:
        print_json(result.summary())
    else:
        run_panel(result)
    if result.status == "failed":
        raise RunFailed(f"the run failed: {result.reason}; what it recorded is in {result.plan.folder}")
    return result.exit_code


def _sweep(composer: Composer, overrides: Sequence[str], as_json: bool) -> int:
    from rasched.cli.panel import print_json, sweep_panel
    from rasched.runner.sweep import sweep
    from rasched.runner.watch import Bar, Watch

    watch = Bar() if sys.stderr.isatty() else Watch()
    summary = sweep(composer, overrides, watch)
    if as_json:
        print_json(summary.as_dict())
    else:
        sweep_panel(summary)
    return summary.exit_code


def _composer(said: Words) -> Any:
    from rasched.runner.compose import Composer

    return Composer.open(said.config_dir, said.config_path, said.config_name)


def before_torch() -> None:
    """Set what counts only until torch is imported: threads of our own loops' kind only, and none that spin."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
