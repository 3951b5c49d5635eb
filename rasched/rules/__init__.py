"""Rules that turn a signal into a learning rate, one per file, and their registry."""

from rasched.rules.base import RULES, Rule
from rasched.rules.kelly import Kelly
from rasched.rules.none import NoRule
from rasched.rules.scaling import Scaling
from rasched.rules.trend import Trend
from rasched.rules.variance import Variance
from rasched.stacking import stack, state, unstack

__all__ = ["RULES", "Kelly", "NoRule", "Rule", "Scaling", "Trend", "Variance", "stack", "state", "unstack"]
