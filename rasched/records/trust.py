"""Find settings that run code from outside the installed packages: a folder of records may come from a stranger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def find_code_import(config: Mapping[str, Any]) -> str | None:
    """Return the setting, as typed, that makes a run import a module of its choice; None if there is none.

    Names of registered classes, entry points included, are no such settings: their packages are installed.
    """
    target = _find_target(config, "")
    if target is not None:
        return target
    env = config.get("env")
    if isinstance(env, Mapping):
        if env.get("module") is not None:
            return f"env.module={env['module']}"
        if ":" in str(env.get("id", "")):  # Gymnasium imports what stands before the colon
            return f"env.id={env['id']}"
    return None


def find_config_source(hydra_overrides: Sequence[str], config_files: Mapping[str, str | None]) -> str | None:
    """Return what names a folder of configuration files beside rasched's own; None if nothing does."""
    for name in ("config_dir", "config_path"):
        if config_files.get(name) is not None:
            return f"--{name.replace('_', '-')} {config_files[name]}"
    return next((override for override in hydra_overrides if "searchpath" in override), None)


def _find_target(node: Any, path: str) -> str | None:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key == "_target_":
                return f"{path}_target_={value}"
            if (target := _find_target(value, f"{path}{key}.")) is not None:
                return target
    if isinstance(node, (list, tuple)):
        for item in node:
            if (target := _find_target(item, path)) is not None:
                return target
    return None
