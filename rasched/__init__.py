"""rasched: let a reward drive the learning rate of any PyTorch optimizer, and measure honestly whether that helps."""

from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
from rasched.scheduler import RewardAdaptiveScheduler

__all__ = ["Kelly", "NoRule", "RewardAdaptiveScheduler", "Rule", "Scaling", "Trend", "Variance"]
