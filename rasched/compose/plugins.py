"""What must be known to Hydra before it composes: our launcher, our resolver, and the user's installed classes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Glob, Override
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

import rasched
from rasched.records.output_dir import job_folder

_MODULE = "hydra_plugins.rasched"


def register() -> None:
    """Make the launcher and the resolver of folder names known; again and again does no harm."""
    Plugins.instance().register(_launcher_module().BatchedLauncher)
    OmegaConf.register_new_resolver("rasched.job_folder", job_folder, replace=True)


def _launcher_module() -> ModuleType:
    """Return the plugin's module; from a checkout that is not installed it is loaded from its file under that name.

    Hydra accepts a launcher only from a module of this name, and finds it by ``sys.modules`` wherever it came from.
    """
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    try:
        return importlib.import_module(_MODULE)
    except ModuleNotFoundError:
        path = Path(rasched.__file__).parent / "_top_level" / "hydra_plugins" / "rasched.py"
        spec = importlib.util.spec_from_file_location(_MODULE, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[_MODULE] = module
        spec.loader.exec_module(module)
        return module


def register_entry_points(overrides: Iterable[Override]) -> None:
    """Give a rule, environment or agent that a user's package offers by entry point a place in its group.

    ``rule=mine`` then works without a file ``rule/mine.yaml``: the class's defaults are the file. Only names that an
    override mentions are loaded, since loading imports the user's package.
    """
    for override in overrides:
        group = override.key_or_group
        if group not in ("rule", "env", "agent") or override.is_delete():
            continue
        for name in _entry_point_names(group):
            if name in _values(override):
                _offer(group, name)


def _entry_point_names(group: str) -> list[str]:
    from importlib.metadata import entry_points

    return [point.name for point in entry_points(group=f"rasched.{group}s")]


class _Everything:
    def __contains__(self, name: object) -> bool:
        return True


def _values(override: Override) -> Any:
    if not override.is_sweep_override():
        return [override.value()]
    return _Everything() if isinstance(override._value, Glob) else [str(v) for v in override.sweep_iterator()]


def _offer(group: str, name: str) -> None:
    from rasched.validation import defaults

    node = {"name": name, **defaults(registry(group).get(name))}
    ConfigStore.instance().store(group=group, name=name, node=node, provider="entry point")


def registry(group: str) -> Any:
    """Return the registry behind a group of conf/: of rules, environments or agents."""
    if group == "rule":
        from rasched.rules import RULES

        return RULES
    if group == "env":
        from rasched.envs import ENVS

        return ENVS
    from rasched.agents import AGENTS

    return AGENTS
