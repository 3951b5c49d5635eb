"""One run: from overrides to a folder of records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.records.output_dir import create_output_dir, is_timestamped
from rasched.records.run_json import GitState
from rasched.runner.run_batch import Result, execute
from rasched.runner.run_spec import RunSpec, validate_run_specs
from rasched.runner.watch import Watch

PICTURE = "lr_vs_reward.png"


def run(composer: Composer, overrides: Sequence[str], watch: Watch) -> Result:
    """Train one run.

    Wrong settings, and a folder that cannot be made, are a UsageError before anything is written; a run that fails is a
    Result; KeyboardInterrupt and Terminated leave what was recorded, and come through.
    """
    parsed = composer.parse(overrides)
    own = [str(o.input_line) for o in parsed if o.is_hydra_override()]
    others = [str(o.input_line) for o in parsed if not o.is_hydra_override()]
    whole = composer.compose(overrides)
    job = JobComposer(composer, [*own, "hydra.mode=RUN"]).compose(others, 0)
    plan = RunSpec(job.config, job.overrides, Path(whole.hydra.run.dir), job)
    validate_run_specs([plan])
    plan.folder = create_output_dir(plan.folder, dated=is_timestamped(job.hydra["run"]["dir"]))
    watch.begin(1, plan.settings.steps)
    return finish(plan, watch)


def finish(plan: RunSpec, watch: Watch) -> Result:
    """Train a run whose folder is its own, and draw its picture; a bug of ours goes on to the caller."""
    (result,) = execute([plan], watch, GitState(plan.folder))
    if result.error is not None and result.exit_code == 1:
        raise result.error
    if plan.logger.plot and result.scores:
        draw(plan.folder)
    return result


def draw(folder: Path) -> None:
    """Draw learning rate against reward, from the run's records."""
    from rasched.analysis.load import load_run
    from rasched.analysis.plots import lr_vs_reward

    lr_vs_reward(load_run(folder).metrics, folder / PICTURE)
