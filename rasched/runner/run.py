"""One run: from overrides to a folder of records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rasched.runner.compose import Composer
from rasched.runner.execute import Result, execute
from rasched.runner.folders import is_dated, reserve
from rasched.runner.jobs import JobComposer
from rasched.runner.plan import Plan
from rasched.runner.record import Git
from rasched.runner.settings import check
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
    plan = Plan(job.config, job.overrides, Path(whole.hydra.run.dir), job)
    check([plan])
    plan.folder = reserve(plan.folder, dated=is_dated(job.hydra["run"]["dir"]))
    watch.begin(1, plan.settings.steps)
    return finish(plan, watch)


def finish(plan: Plan, watch: Watch) -> Result:
    """Train a run whose folder is its own, and draw its picture; a bug of ours goes on to the caller."""
    (result,) = execute([plan], watch, Git(plan.folder))
    if result.error is not None and result.exit_code == 1:
        raise result.error
    if plan.logger.picture and result.scores:
        draw(plan.folder)
    return result


def draw(folder: Path) -> None:
    """Draw learning rate against reward, from the run's records."""
    from rasched.results.load import load_run
    from rasched.results.plots import lr_vs_reward

    lr_vs_reward(load_run(folder).metrics, folder / PICTURE)
