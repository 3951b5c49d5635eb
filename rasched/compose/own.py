"""A class of the user's own, named by ``_target_`` in a file of ``--config-dir``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from rasched.errors import UsageError
from rasched.registry import Registry
from rasched.validation import from_mapping


def build_custom_class(where: str, registry: Registry[Any], node: Mapping[str, Any]) -> Any:
    """Return the rule, environment or agent of ``{"_target_": "package.module.Class", settings...}``.

    The class is checked before it is called: unlike Hydra's ``instantiate``, a file of settings can call nothing else.
    """
    settings = {key: value for key, value in node.items() if key not in ("_target_", "name")}
    path = str(node["_target_"])
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{where}._target_={path} cannot be imported ({error}); name an installed module's class, "
            "or put its folder on PYTHONPATH"
        ) from error
    base = _base(where)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UsageError(f"{where}._target_={path} must be a subclass of {base.__module__}.{base.__name__}")
    return from_mapping(found, settings, where)


def _base(where: str) -> type:
    from rasched.agents import AgentSettings
    from rasched.envs import EnvSettings
    from rasched.rules import Rule

    return {"rule": Rule, "env": EnvSettings, "agent": AgentSettings}[where]
