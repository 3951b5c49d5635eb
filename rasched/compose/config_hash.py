"""Flatten a configuration: its hash, what differs between two, and its row in TensorBoard's HParams table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide a run's numbers under the names that one types: ``{"rule.gain": 0.2, ...}``.

    ``logger`` and ``control`` are left out, because they change no number of the run. Values are of JSON's types.
    """
    settings: dict[str, Any] = {}
    for key, value in config.items():
        if key not in ("logger", "control"):
            _flatten(str(key), value, settings)
    return settings


def _flatten(name: str, value: Any, settings: dict[str, Any]) -> None:
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            _flatten(f"{name}.{key}", child, settings)
    elif value is None or isinstance(value, (bool, int, float, str)):
        settings[name] = value
    else:
        settings[name] = json.loads(json.dumps(value, default=str))


def config_hash(settings: Mapping[str, Any]) -> str:
    """Return the hash of flat settings; their order does not matter."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()


def describe_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Return half a sentence about what differs between flat settings, or None if nothing does."""
    # Names that both have come first: a choice stands before the keys that it brings.
    names = sorted({*before, *after}, key=lambda name: (name not in before or name not in after, name))
    texts = [(name, _text(name, before), _text(name, after)) for name in names]
    changes = [f"{name} was {old} and is {new} now" for name, old, new in texts if old != new]
    more = f" (and {len(changes) - 3} more)" if len(changes) > 3 else ""
    return "; ".join(changes[:3]) + more if changes else None


def _text(name: str, settings: Mapping[str, Any]) -> str:
    return json.dumps(settings[name]) if name in settings else "not there"


def hyperparameters(config: Mapping[str, Any]) -> dict[str, float | str | bool]:
    """Return a run's row in the HParams table: ``{"rule": "kelly", "rule.gain": 0.2, ...}``, null settings left out."""
    return {
        name.removesuffix(".name"): value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in flatten(config).items()
        if value is not None
    }


def trial_group(config: Mapping[str, Any]) -> str:
    """Return a short name of all settings except the seed: TensorBoard shows the runs that share it as one row."""
    settings = [f"{name}={value}" for name, value in hyperparameters(config).items() if name != "seed"]
    return hashlib.blake2b("\n".join(settings).encode(), digest_size=6).hexdigest()
