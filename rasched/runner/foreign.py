"""Jobs by a launcher or sweeper that is not ours: Hydra runs them, and the runs' records say how it went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.hydra import Hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rasched.runner import plugin
from rasched.runner.compose import Composer
from rasched.runner.errors import RunFailed, UsageError
from rasched.runner.execute import Plan, execute
from rasched.runner.record import Git, Record, now

plugin.register()  # a worker process imports this module, and nothing else of the command, before it names its folder


def launch_by_hydra(composer: Composer, overrides: Sequence[str], folder: Path) -> None:
    """Let Hydra launch the jobs into the sweep's folder.

    A launcher's own failure (a worker killed, a cluster that does not answer) is a RunFailed.
    """
    quoted = str(folder.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    hydra = Hydra(task_name="rasched", config_loader=composer.loader)
    try:
        hydra.multirun(composer.config_name, run_job, [*overrides, f"hydra.sweep.dir='{quoted}'"])
    except Exception as error:
        raise RunFailed(f"the launcher gave up: {type(error).__name__}: {error}") from error


def run_job(config: DictConfig) -> float:
    """Train one job in a process of the launcher's; Hydra has made its folder and written ``.hydra/``.

    Returns the mean reward of the last tenth, which a sweeper that searches maximises; NaN for a run that failed, since
    an exception would end the sweep for its neighbours too.
    """
    from rasched.runner.settings import logger_settings, run_settings
    from rasched.runner.watch import Watch

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = [str(line) for line in hydra.overrides.task]
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    named = {str(key): value for key, value in plain.items()}
    try:
        plan = Plan(named, overrides, run_settings(named), logger_settings(named), folder)
        return execute([plan], Watch(), Git(folder))[0].scores.get("reward_last_tenth", math.nan)
    except UsageError as error:
        refused = {"status": "failed", "exit_code": UsageError.exit_code, "reason": str(error), "overrides": overrides}
        Record(folder, **refused, scores={}, started=now()).update()
    except Exception:  # the record says so
        return math.nan
    return math.nan
