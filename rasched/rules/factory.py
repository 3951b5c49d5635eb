"""The rule that a user chose, by name and settings or as a value."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from rasched.rules.base import RULES, Rule
from rasched.rules.kelly import Kelly
from rasched.rules.none import NoRule
from rasched.rules.scaling import Scaling
from rasched.rules.trend import Trend
from rasched.rules.variance import Variance


def make_rule(rule: str | Rule, settings: Mapping[str, Any]) -> Rule:
    """Return the rule of that name, or a copy of the given rule.

    ``settings`` have names such as ``kelly_gain``. With a rule's name, the settings of all rules are checked, including
    those of rules that were not chosen. With a rule as value any setting is a TypeError. An unknown name is a
    ValueError.
    """
    if isinstance(rule, Rule):
        if settings:
            raise TypeError(f"{', '.join(settings)} cannot go with rule={rule!r}: set it on the rule itself")
        return copy.deepcopy(rule)
    if not isinstance(rule, str):
        raise TypeError(f"rule must be a name or a Rule, got {type(rule).__name__}")
    rules: dict[str, Rule] = {}
    for cls in (Scaling, Trend, Variance, Kelly, NoRule):
        prefix = f"{cls.name}_"
        rules[cls.name] = cls(**{k.removeprefix(prefix): v for k, v in settings.items() if k.startswith(prefix)})
    return rules[rule] if rule in rules else RULES.get(rule)()
