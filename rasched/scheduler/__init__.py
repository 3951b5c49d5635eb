"""The scheduler and the parts that it is made of."""

from rasched.scheduler.scheduler import RewardAdaptiveScheduler

__all__ = ["RewardAdaptiveScheduler"]
