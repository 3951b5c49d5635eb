"""The scheduler under its original module name: ``from reward_adaptive_scheduler import RewardAdaptiveScheduler``."""

from rasched import RewardAdaptiveScheduler

__all__ = ["RewardAdaptiveScheduler"]
