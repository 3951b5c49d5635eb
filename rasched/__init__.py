"""rasched: let a reward drive the learning rate of any PyTorch optimizer, and measure honestly whether that helps."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasched.integrations.huggingface import RewardObserveCallback
    from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
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
]


def __getattr__(name: str) -> Any:
    # On first use: `rasched --help` must not wait for torch, nor a plain loop for the Trainer's adapter.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {"RewardAdaptiveScheduler": "scheduler", "RewardObserveCallback": "integrations"}.get(name, "rules")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
