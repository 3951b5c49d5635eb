"""rasched: let a reward drive the learning rate of any PyTorch optimizer, and measure honestly whether that helps."""

from typing import TYPE_CHECKING, Any

from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
from rasched.scheduler import RewardAdaptiveScheduler

if TYPE_CHECKING:
    from rasched.integrations.huggingface import RewardObserveCallback

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
    if name == "RewardObserveCallback":  # on demand: who needs no Trainer need not load its adapter
        from rasched.integrations.huggingface import RewardObserveCallback

        return RewardObserveCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
