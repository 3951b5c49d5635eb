"""Where the configuration stands, and the types of its top level."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasched

CONFIG_NAME = "config"


def conf_dir() -> Path:
    """Return the folder of ``config.yaml``: inside an installed package, at the root of a checkout."""
    package = Path(rasched.__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def group_choices() -> dict[str, list[str]]:
    """Return the names of the files of each group of ``conf/``."""
    return {group: sorted(path.stem for path in (conf_dir() / group).glob("*.yaml")) for group in (*GROUPS, "preset")}


@dataclass
class Schema:
    """Types of the composed configuration.

    A group is an open mapping here, since its keys depend on the choice; the settings class it becomes checks them.
    """

    rule: dict[str, Any]
    signal: dict[str, Any]
    scheduler: dict[str, Any]
    env: dict[str, Any]
    agent: dict[str, Any]
    optimizer: dict[str, Any]
    eval: dict[str, Any]
    logger: dict[str, Any]
    steps: int
    seed: int
    control: Any  # "auto", true or false; a single run only


GROUPS = ("rule", "signal", "scheduler", "env", "agent", "optimizer", "eval", "logger")
