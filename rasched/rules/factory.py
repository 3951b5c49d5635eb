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


def make_rule(rule: str | Rule, given: Mapping[str, Any]) -> Rule:
    """Return the rule of that name, or a copy of the given one.

    ``given`` are settings such as ``kelly_gain``. With a name, those of all rules are checked, also of the ones not
    chosen; with a rule as value any is a TypeError. An unknown name is a ValueError.
    """
    if isinstance(rule, Rule):
        if given:
            raise TypeError(f"{', '.join(given)} cannot go with rule={rule!r}: set it on the rule itself")
        return copy.deepcopy(rule)
    if not isinstance(rule, str):
        raise TypeError(f"rule must be a name or a Rule, got {type(rule).__name__}")
    made: dict[str, Rule] = {}
    for cls in (Scaling, Trend, Variance, Kelly, NoRule):
        prefix = f"{cls.name}_"
        made[cls.name] = cls(**{k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)})
    return made[rule] if rule in made else RULES.get(rule)()
