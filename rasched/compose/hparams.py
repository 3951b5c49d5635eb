"""A run's row in TensorBoard's HParams table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def hyperparameters(config: Mapping[str, Any]) -> dict[str, float | str | bool]:
    """Return the settings flat, as one types them: ``{"rule": "kelly", "rule.gain": 0.2, ...}``."""
    flat: dict[str, float | str | bool] = {}
    for group, node in config.items():
        if group == "logger":
            continue  # changes what is written, not what happens
        if not isinstance(node, Mapping):
            flat[group] = _shown(node)
            continue
        for key, value in node.items():
            name = group if key == "name" else f"{group}.{key}"
            if value is not None:
                flat[name] = _shown(value)
    return flat


def trial_group(config: Mapping[str, Any]) -> str:
    """Return a short name of everything but the seed: TensorBoard shows the runs that share it as one row."""
    common = [f"{key}={value}" for key, value in hyperparameters(config).items() if key != "seed"]
    return hashlib.blake2b("\n".join(common).encode(), digest_size=6).hexdigest()


def _shown(value: Any) -> float | str | bool:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
