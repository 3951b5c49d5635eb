"""The learning-rate scheduler and its parts."""

from rasched.scheduler.scheduler import RewardAdaptiveScheduler

__all__ = ["RewardAdaptiveScheduler"]
