"""The Trainer callback under its original module name: ``from reward_callback import RewardObserveCallback``."""

from rasched import RewardObserveCallback

__all__ = ["RewardObserveCallback"]
