"""Set the learning rate of any PyTorch optimizer by the reward, and measure whether that helps.

The words of this package, its configuration and its files:

run: one training with one configuration and one seed; it has its own output folder.
sweep: the runs of all combinations of the given settings; each combination is one *job*, which trains one run.
batch: runs of a sweep that are trained together, with tensors that have a leading run axis.
variant: one configuration of a sweep, over all of its seeds.
environment step: one call of an environment's ``step``; for a bandit, one pull. ``steps=`` counts these.
rollout: the environment steps that an agent collects before it learns from them.
update: everything that an agent does with one rollout; it consists of one or more gradient steps.
gradient step: one call of ``optimizer.step()``.
num_envs: the number of parallel copies of the environment within one run.
parameter group: an entry of ``optimizer.param_groups``; each has its own base rate and current rate.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasched.analysis.kept import kept
    from rasched.analysis.load import load
    from rasched.integrations.huggingface import RewardObserveCallback
    from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
    from rasched.runner.api import run, sweep
    from rasched.scheduler import RewardAdaptiveScheduler

__all__ = [
    "Kelly",
    "NoRule",
    "RewardAdaptiveScheduler",
    "RewardObserveCallback",
    "Rule",
    "Scaling",
    "Trend",
    "Variance",
    "kept",
    "load",
    "run",
    "sweep",
]
_MODULES = {
    "RewardAdaptiveScheduler": "scheduler",
    "RewardObserveCallback": "integrations",
    "kept": "analysis.kept",
    "load": "analysis.load",
    "run": "runner.api",
    "sweep": "runner.api",
}


def __getattr__(name: str) -> Any:
    # On first use: `rasched --help` must not wait for torch, nor a plain loop for the Trainer's adapter.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'rules')}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
