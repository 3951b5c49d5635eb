"""``rasched run``: the words to one run, to a sweep, or to what Hydra shows of itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.errors import RunFailed
from rasched.runner.interrupts import SIGNALS
from rasched.runner.process_setup import import_torch

if TYPE_CHECKING:
    from rasched.analysis.sweep_table import SweepSummary
    from rasched.cli.hydra_args import Words
    from rasched.compose.composer import Composer
    from rasched.runner.progress import Progress
    from rasched.runner.run_batch import Result
    from rasched.runner.watch import Watch


@dataclass(frozen=True)
class SweepOptions:
    """What is said of a sweep beside its overrides."""

    dry_run: bool = False
    processes: int | None = None
    shard: int | None = None


def run_words(words: Sequence[str], as_json: bool) -> int:
    """Do what the words say and return the exit code."""

    def run_or_sweep(composer: Composer, said: Words) -> int:
        if not composer.is_sweep(said.overrides, said.multirun):
            return _one(composer, said.overrides, as_json)
        return _sweep(composer, said.overrides, SweepOptions(), as_json)

    return _say(words, run_or_sweep)


def sweep_words(words: Sequence[str], options: SweepOptions, as_json: bool) -> int:
    """Run, or list, the jobs of a sweep, and return the exit code."""
    do = _dry_run if options.dry_run else _sweep
    return _say(words, lambda composer, said: do(composer, said.overrides, options, as_json))


def _say(words: Sequence[str], do: Callable[[Composer, Words], int]) -> int:
    """Show what Hydra's own flags ask for, or else compose and do the rest; return the exit code."""
    from rasched.cli.hydra_args import parse

    said = parse(words)
    with SIGNALS.raised():
        if said.shows:
            from rasched.cli.showing import show

            return show(said)
        return do(_composer(said), said)


def resume_folder(folder: str, processes: int | None, as_json: bool) -> int:
    """Go on with a sweep or a run that was stopped, and return the exit code."""
    import_torch()
    from rasched.runner.resume import is_sweep, resume_run, resume_sweep

    with SIGNALS.raised():
        path = Path(folder)
        if is_sweep(path):
            return _told_sweep(resume_sweep(path, _progress(), processes), as_json)
        result = resume_run(path, _watch())
        if result is not None:
            return _told_run(result, as_json)
        from rasched.cli.output import print_json, shown

        if as_json:
            from rasched.records.run_json import read_record

            print_json({"folder": str(path.absolute()), **read_record(path)})
        else:
            print(f"{shown(path)} is finished: there is nothing to resume")
        return 0


def _one(composer: Composer, overrides: Sequence[str], as_json: bool) -> int:
    import_torch()
    from rasched.runner.run import run

    return _told_run(run(composer, overrides, _watch()), as_json)


def _told_run(result: Result, as_json: bool) -> int:
    from rasched.cli.output import print_json, run_panel

    if as_json:
        print_json(result.summary())
    else:
        run_panel(result)
    if result.status == "failed":
        raise RunFailed(f"the run failed: {result.reason}; what it recorded is in {result.plan.folder}")
    return result.exit_code


def _sweep(composer: Composer, overrides: Sequence[str], options: SweepOptions, as_json: bool) -> int:
    from rasched.runner.asked import ask

    asked = ask(composer, overrides, options.processes)  # first: its workers get ready during the imports
    import rasched.cli.output  # noqa: F401
    from rasched.runner.sweep import sweep

    return _told_sweep(sweep(asked, _progress(), options.shard), as_json)


def _told_sweep(summary: SweepSummary, as_json: bool) -> int:
    from rasched.cli.output import print_json, sweep_panel

    if as_json:
        print_json(summary.as_dict())
    else:
        sweep_panel(summary)
    return summary.exit_code


def _dry_run(composer: Composer, overrides: Sequence[str], options: SweepOptions, as_json: bool) -> int:
    from rasched.cli.jobs import print_jobs
    from rasched.runner.asked import ask
    from rasched.runner.sweep import dry_run

    print_jobs(*dry_run(ask(composer, overrides, options.processes)), as_json)
    return 0


def _watch() -> Watch:
    from rasched.runner.watch import Bar, Watch

    return Bar() if sys.stderr.isatty() else Watch()


def _progress() -> Progress:
    from rasched.runner.progress import Lines, Table

    return Table() if sys.stderr.isatty() else Lines()


def _composer(said: Words) -> Any:
    from rasched.compose.composer import Composer

    return Composer.open(said.config_dir, said.config_path, said.config_name)
