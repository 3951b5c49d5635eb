"""``rasched run``, ``sweep`` and ``resume``: from arguments to trained runs and a report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rasched.errors import RunFailed, Terminated
from rasched.runner.process_setup import import_torch

if TYPE_CHECKING:
    from rasched.analysis.sweep_table import SweepSummary
    from rasched.cli.hydra_args import HydraArgs
    from rasched.compose.composer import Composer
    from rasched.runner.progress import ProgressReporter
    from rasched.runner.run_spec import RunSpec
    from rasched.train.run_result import RunResult


@dataclass(frozen=True)
class SweepOptions:
    """The options of a sweep beside its overrides."""

    dry_run: bool = False
    num_workers: int | None = None
    runs_per_job: int | None = None


def run_command(args: Sequence[str], as_json: bool) -> int:
    """Train a run, or a sweep if the arguments say so, and return the exit code."""

    def run_or_sweep(composer: Composer, parsed: HydraArgs) -> int:
        if composer.is_sweep(parsed.overrides, parsed.multirun):
            return _run_sweep(composer, parsed.overrides, SweepOptions(), as_json)
        return _run_single(composer, parsed.overrides, as_json)

    return _dispatch(args, run_or_sweep)


def sweep_command(args: Sequence[str], options: SweepOptions, as_json: bool) -> int:
    """Train the runs of a sweep, or list them, and return the exit code."""
    return _dispatch(args, lambda composer, parsed: _run_sweep(composer, parsed.overrides, options, as_json))


def _dispatch(args: Sequence[str], run: Callable[[Composer, HydraArgs], int]) -> int:
    """Print what Hydra's information flags ask for, or else run; return the exit code."""
    from rasched.cli.hydra_args import parse_args, print_info

    parsed = parse_args(args)
    if parsed.is_info_request:
        return print_info(parsed)
    from rasched.compose.composer import Composer

    return run(Composer.open(parsed.config_dir, parsed.config_path, parsed.config_name), parsed)


def resume_command(folder: str, num_workers: int | None, trust: bool, as_json: bool) -> int:
    """Resume a sweep or a run that was stopped, and return the exit code."""
    import_torch()
    from rasched.runner.resume import is_sweep, resume_run, resume_sweep

    path = Path(folder)
    if is_sweep(path):
        return _report_sweep(resume_sweep(path, _sweep_progress(), num_workers, trust), as_json)
    with _naming_folder(path):
        resumed = resume_run(path, _run_progress(), trust)
    if resumed is not None:
        return _report_run(*resumed, as_json)
    from rasched.cli.output import print_json, relative_path

    if as_json:
        from rasched.records.run_json import read_record

        print_json({"folder": str(path.absolute()), **read_record(path)})
    else:
        print(f"{relative_path(path)} is finished: there is nothing to resume")
    return 0


def _run_single(composer: Composer, overrides: Sequence[str], as_json: bool) -> int:
    import_torch()
    from rasched.runner.run import plan_run, train_new

    spec, jobs = plan_run(composer, overrides)
    with _naming_folder(spec.folder):
        result = train_new(spec, jobs, _run_progress())
    return _report_run(spec, result, as_json)


@contextmanager
def _naming_folder(folder: Path) -> Iterator[None]:
    """Print where the records of an interrupted run are, and the command that continues it."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as error:
        from rasched.cli.errors import print_error
        from rasched.cli.output import relative_path

        how = "Ctrl-C" if isinstance(error, KeyboardInterrupt) else "SIGTERM"
        path = relative_path(folder)
        print_error(f"stopped by {how}; the records are in {path}; to continue: rasched resume {path}")
        raise


def _report_run(spec: RunSpec, result: RunResult, as_json: bool) -> int:
    from rasched.cli.run_report import print_run

    print_run(spec, result, as_json)
    if result.error is not None:
        raise RunFailed(f"the run failed: {result.error}; what it recorded is in {spec.folder}")
    return result.exit_code or 0


def _run_sweep(composer: Composer, overrides: Sequence[str], options: SweepOptions, as_json: bool) -> int:
    from rasched.runner.sweep import dry_run, plan_sweep, sweep

    plan = plan_sweep(composer, overrides, options.num_workers)
    if options.dry_run:
        from rasched.cli.output import print_batches

        print_batches(*dry_run(plan), as_json)
        return 0
    return _report_sweep(sweep(plan, _sweep_progress(), options.runs_per_job), as_json)


def _report_sweep(summary: SweepSummary, as_json: bool) -> int:
    from rasched.cli.output import print_json, sweep_panel

    if as_json:
        print_json(summary.as_dict())
    else:
        sweep_panel(summary)
        from rasched.cli.run_report import print_sweep_warnings

        print_sweep_warnings(summary.rows, summary.folder)
    return summary.exit_code


def _run_progress() -> ProgressReporter:
    from rasched.runner.progress import ProgressBar, ProgressReporter

    return ProgressBar() if sys.stderr.isatty() else ProgressReporter()


def _sweep_progress() -> ProgressReporter:
    from rasched.runner.progress import FailureLines, LiveTable

    return LiveTable() if sys.stderr.isatty() else FailureLines()
