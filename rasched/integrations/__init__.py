"""Adapters for training frameworks; each imports its framework on first use only."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "LightningRewardCallback": "lightning",
    "RewardObserveCallback": "huggingface",
    "RewardSchedulerHook": "torchrl",
    "RewardCollector": "reward_collector",
    "SB3RewardCallback": "stable_baselines3",
    "attach_skrl": "skrl",
    "attach_trl": "trl",
}

__all__ = [  # noqa: F822  (resolved by __getattr__)
    "LightningRewardCallback",
    "RewardObserveCallback",
    "RewardSchedulerHook",
    "RewardCollector",
    "SB3RewardCallback",
    "attach_skrl",
    "attach_trl",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
