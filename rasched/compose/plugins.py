"""Register with Hydra what it must know before it composes, and find a user's own classes.

Hydra is imported inside the functions: workers need only :func:`build_custom_class`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import rasched
from rasched.compose.hydra_compat import is_glob
from rasched.records.output_dir import job_folder
from rasched.registry import build_class

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_MODULE = "hydra_plugins.rasched"


def register() -> None:
    """Make the launcher and the resolver of folder names known to Hydra; calling it again does no harm."""
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    Plugins.instance().register(_launcher_module().BatchedLauncher)
    OmegaConf.register_new_resolver("rasched.job_folder", job_folder, replace=True)


def _launcher_module() -> ModuleType:
    """Return the launcher's module. From a checkout that is not installed it is loaded from its file.

    Hydra accepts a launcher only from a module of this name, and finds it in ``sys.modules`` wherever it came from.
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
    """Register the rules, environments and agents of installed packages that the overrides name.

    ``rule=mine`` then works without a file ``rule/mine.yaml``: the defaults of the class are the file. Other names are
    not loaded, because loading imports the user's package.
    """
    for override in overrides:
        group = override.key_or_group
        if group not in ("rule", "env", "agent") or override.is_delete():
            continue
        for name in _entry_point_names(group):
            if name in _choices(override):
                _register_class(group, name)


def _entry_point_names(group: str) -> list[str]:
    from importlib.metadata import entry_points

    return [point.name for point in entry_points(group=f"rasched.{group}s")]


class _MatchAll:
    def __contains__(self, name: object) -> bool:
        return True


def _choices(override: Override) -> Any:
    if not override.is_sweep_override():
        return [override.value()]
    return _MatchAll() if is_glob(override) else [str(value) for value in override.sweep_iterator()]


def _register_class(group: str, name: str) -> None:
    from hydra.core.config_store import ConfigStore

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


def build_custom_class(group: str, node: Mapping[str, Any]) -> Any:
    """Return the rule, environment or agent of ``{"_target_": "package.module.Class", settings...}``."""
    return build_class(group, node, _base_class(group))


def _base_class(group: str) -> type:
    from rasched.agents import AgentSettings
    from rasched.envs import EnvSettings
    from rasched.rules import Rule

    return {"rule": Rule, "env": EnvSettings, "agent": AgentSettings}[group]
