"""Schedulers with a past, for the tests of their states."""

from typing import Any

from optimizers import sgd

from rasched import RewardAdaptiveScheduler
from rasched.rules import Rule


def make(rule: str | Rule = "kelly", groups: int = 2, **settings: Any) -> RewardAdaptiveScheduler:
    optimizer = sgd(*(0.1, 0.3, 0.2)[:groups], momentum=0.9)
    return RewardAdaptiveScheduler(optimizer, rule, on_nonfinite="skip", **settings)


def observed(*rewards: float | None, **settings: Any) -> RewardAdaptiveScheduler:
    scheduler = make(**settings)
    for reward in rewards:
        scheduler.observe(reward)
    return scheduler
