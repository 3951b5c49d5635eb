"""Whether two runs are the same: the hash of all that decides a run's numbers, and the first thing that differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide a run's numbers, as one types them: ``{"rule.gain": 0.2, ...}``.

    What is logged is left out: it changes what is written, not what happens. Values are those that JSON knows.
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key != "logger":
            _flatten(str(key), value, found)
    return found


def _flatten(name: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            _flatten(f"{name}.{key}", below, found)
    elif value is None or isinstance(value, (bool, int, float, str)):
        found[name] = value
    else:
        found[name] = json.loads(json.dumps(value, default=str))


def identity(settings: Mapping[str, Any]) -> str:
    """Return the hash of flat settings, whatever their order."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()


def difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Say in half a sentence what flat settings differ in, None where in nothing."""
    # what both have comes first: a choice before the keys that it brings
    names = sorted({*was, *now}, key=lambda name: (name not in was or name not in now, name))
    told = [_told(name, was, now) for name in names if _text(name, was) != _text(name, now)]
    more = f" (and {len(told) - 3} more)" if len(told) > 3 else ""
    return "; ".join(told[:3]) + more if told else None


def _told(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    return f"{name} was {_text(name, was)} and is {_text(name, now)} now"


def _text(name: str, settings: Mapping[str, Any]) -> str:
    return json.dumps(settings[name]) if name in settings else "not there"
