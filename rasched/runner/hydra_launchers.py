"""Jobs by a launcher or sweeper that is not ours: Hydra runs them, and the runs' records say how it went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rasched.analysis.sweep_table import score
from rasched.compose import plugins as plugin
from rasched.compose.composer import Composer
from rasched.errors import RunFailed, UsageError
from rasched.records.run_json import GitState, RunJson, now
from rasched.runner.run_batch import execute
from rasched.runner.run_spec import RunSpec

plugin.register()  # a worker process imports this module, and nothing else of the command, before it names its folder


def launch_by_hydra(composer: Composer, overrides: Sequence[str], folder: Path) -> None:
    """Let Hydra launch the jobs into the sweep's folder.

    A launcher's own failure (a worker killed, a cluster that does not answer) is a RunFailed.
    """
    hydra = Hydra(task_name="rasched", config_loader=composer.loader)
    try:
        hydra.multirun(composer.config_name, run_job, [*overrides, f"hydra.sweep.dir='{_quoted(folder)}'"])
    except Exception as error:
        raise RunFailed(f"the launcher gave up: {type(error).__name__}: {error}") from error


def launch_batches_by_hydra(composer: Composer, overrides: Sequence[str], folder: Path, shards: int) -> None:
    """Let Hydra launch as many jobs as there are shards, each of which trains its part of the sweep's index.

    What Hydra writes of a shard itself stands in ``.shards/``, apart from the runs. A launcher's own failure is a
    RunFailed.
    """
    from hydra.core.plugins import Plugins
    from hydra.types import HydraContext, RunMode
    from omegaconf import open_dict, read_write

    master = composer.compose(overrides, mode=RunMode.MULTIRUN)
    with read_write(master.hydra), open_dict(master.hydra):
        master.hydra.sweep.dir = str(folder.absolute())
        master.hydra.sweep.subdir = ".shards/${hydra.job.num}"
    HydraConfig.instance().set_config(master)
    context = HydraContext(config_loader=composer.loader, callbacks=Callbacks(master))
    try:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_launcher_batch, config=master
        )
        own = [f"hydra.sweep.dir='{_quoted(folder)}'", "hydra.sweep.subdir='.shards/${hydra.job.num}'"]
        launcher.launch([own for _ in range(shards)], initial_job_idx=0)
    except Exception as error:
        raise RunFailed(f"the launcher gave up: {type(error).__name__}: {error}") from error


def run_launcher_batch(config: DictConfig) -> int:
    """Train one shard of a sweep as batches, in a process of the launcher's; return the number of runs that failed.

    Runs that are done already are left alone, so a shard that a cluster starts again goes on where it was.
    """
    from rasched.runner.batching import cut
    from rasched.runner.process_setup import tune_malloc
    from rasched.runner.progress import Progress
    from rasched.runner.resume import replan, unfinished
    from rasched.runner.sweep import launch
    from rasched.runner.sweep_json import read_index

    tune_malloc()
    hydra = HydraConfig.get()
    folder, shard = Path(hydra.sweep.dir), int(hydra.job.num)
    found = read_index(folder)
    size = found["words"]["shard"]
    nums = range(shard * size, min((shard + 1) * size, len(found["runs"])))
    plans = unfinished(replan(folder, found, nums))
    tiles, _ = cut(plans, 1)
    launch(tiles, folder, Progress())
    return len(unfinished(plans))


def run_job(config: DictConfig) -> float:
    """Train one job in a process of the launcher's; Hydra has made its folder and written ``.hydra/``.

    Returns the run's score, which a sweeper that searches maximises; NaN for a run that failed, since
    an exception would end the sweep for its neighbours too.
    """
    from rasched.runner.watch import Watch

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = [str(line) for line in hydra.overrides.task]
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    named = {str(key): value for key, value in plain.items()}
    try:
        plan = RunSpec(named, overrides, folder)
        (result,) = execute([plan], Watch(), GitState(folder))
        value = score(result.scores)
        return math.nan if value is None else value
    except UsageError as error:
        refused = {"status": "failed", "exit_code": UsageError.exit_code, "reason": str(error), "overrides": overrides}
        RunJson(folder, **refused, scores={}, started=now()).update()
    return math.nan


def _quoted(folder: Path) -> str:
    return str(folder.absolute()).replace("\\", "\\\\").replace("'", "\\'")
