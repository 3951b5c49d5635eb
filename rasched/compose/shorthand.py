"""Expand short forms of overrides into Hydra's grammar.

| typed | becomes |
| --- | --- |
| ``seed=0..2``, ``seeds=3`` | ``seed=range(0,3)``, which needs quotes in some shells |
| ``optimizer.lr=logspace(1e-5,1e-1,9)`` | the nine values, evenly spaced on a log scale |
| ``steps=1e5`` | ``steps=100000`` |
| ``preset=ppo_cartpole`` | ``+preset=ppo_cartpole`` |
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rasched.errors import UsageError

_RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")
_LOGSPACE = re.compile(r"logspace\((.*)\)")
_POWER = re.compile(r"\d+(\.\d*)?[eE]\+?\d{1,2}")
_MAX_VALUES = 1_000_000  # of one override


def expand_shorthand(overrides: Sequence[str]) -> list[str]:
    """Return the overrides in Hydra's grammar; those that are in it already stay as they are."""
    return [_expand(override) for override in overrides]


def _expand(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        return override
    if key == "preset":
        return f"+{override}"
    if key == "seeds":
        return f"seed={_seed_range(value)}"
    if match := _RANGE.fullmatch(value):
        first, last = int(match[1]), int(match[2])
        if last < first or last - first >= _MAX_VALUES:
            raise UsageError(f"{override} must count upwards, by at most {_MAX_VALUES:,} values, as in {key}=0..2")
        return f"{key}=range({first},{last + 1})"
    if match := _LOGSPACE.fullmatch(value):
        return f"{key}={_logspace(override, match[1])}"
    if key in ("steps", "seed"):
        return f"{key}={','.join(_whole(part) for part in value.split(','))}"
    return override


def _seed_range(value: str) -> str:
    if _RANGE.fullmatch(value):
        return _expand(f"seed={value}").partition("=")[2]
    if not value.isdecimal() or not 1 <= int(value) <= _MAX_VALUES:
        raise UsageError(f"seeds must be a number of seeds, as in seeds=3 for the seeds 0, 1 and 2, got {value!r}")
    return f"range(0,{int(value)})"


def _logspace(override: str, arguments: str) -> str:
    try:
        start, stop, count = arguments.split(",")
        low, high, num_values = float(start), float(stop), int(count)
        if not (0 < low < math.inf and 0 < high < math.inf and 2 <= num_values <= _MAX_VALUES):
            raise ValueError
    except ValueError as error:
        raise UsageError(
            f"{override} must be logspace(first, last, number of values) with two numbers above 0 and at least 2 "
            "values, as in optimizer.lr=logspace(1e-5,1e-1,9)"
        ) from error
    logs = [math.log(low) + i * (math.log(high) - math.log(low)) / (num_values - 1) for i in range(num_values)]
    return ",".join(f"{math.exp(log):.6g}" for log in logs)


def _whole(text: str) -> str:
    """Return a whole number that is written as a power of ten without the exponent."""
    if _POWER.fullmatch(text.strip()):
        number = float(text)
        if number.is_integer() and number < 2**63:
            return str(int(number))
    return text
