"""Rules that turn a signal into a learning rate, one per file, and their registry."""

from rasched.rules.base import RULES, Rule
from rasched.rules.check import check_rule
from rasched.rules.kelly import Kelly
from rasched.rules.kl_search import KLSearch
from rasched.rules.none import NoRule
from rasched.rules.peers import CosineDecay, Greedy, KLAdaptive, LinearDecay, Plateau, RateBandit
from rasched.rules.scaling import Scaling
from rasched.rules.search_hold import SearchHold
from rasched.rules.trend import Trend
from rasched.rules.variance import Variance
from rasched.stacking import context, shared, stack, state, unstack

__all__ = [
    "RULES",
    "CosineDecay",
    "Greedy",
    "KLAdaptive",
    "KLSearch",
    "Kelly",
    "LinearDecay",
    "NoRule",
    "Plateau",
    "RateBandit",
    "Rule",
    "Scaling",
    "SearchHold",
    "Trend",
    "Variance",
    "check_rule",
    "context",
    "shared",
    "stack",
    "state",
    "unstack",
]
