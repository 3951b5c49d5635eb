"""Every private name of Hydra and OmegaConf that rasched uses, under a public name.

Imports stand inside the functions: a worker that writes YAML does not pay 0.2 s for Hydra.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig, Node

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def make_search_path(config_path: str) -> Any:
    """Return Hydra's search path, with its own and its plugins' entries, for a folder of configuration files."""
    from hydra._internal.utils import create_config_search_path

    return create_config_search_path(config_path)


def make_config_loader(search_path: Any) -> ConfigLoader:
    """Return the loader that ``hydra.main`` would use."""
    from hydra._internal.hydra import Hydra

    loader: ConfigLoader = Hydra.create_main_hydra2("rasched", search_path).config_loader
    return loader


def make_hydra(loader: ConfigLoader) -> Any:
    """Return the object behind ``hydra.main``, which launches multiruns and prints Hydra's own information."""
    from hydra._internal.hydra import Hydra

    return Hydra(task_name="rasched", config_loader=loader)


def make_callbacks(config: DictConfig) -> Any:
    """Return the callbacks that the configuration names, for a launcher's context."""
    from hydra._internal.callbacks import Callbacks

    return Callbacks(config)


def is_plugin(class_name: str) -> bool:
    """Return whether Hydra knows a launcher or sweeper of that name, which it would otherwise refuse in the middle."""
    from hydra.core.plugins import Plugins

    return class_name in Plugins.instance().class_name_to_class


def make_args_parser() -> argparse.ArgumentParser:
    """Return the parser of ``hydra.main``'s command line."""
    from hydra._internal.utils import get_args_parser

    parser: argparse.ArgumentParser = get_args_parser()
    return parser


def split_sweep(overrides: list[Override]) -> list[list[str]]:
    """Return the overrides of each job, by the grammar of Hydra's basic sweeper."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    jobs: list[list[str]] = BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]
    return jobs


def apply_overrides(overrides: list[Override], config: DictConfig) -> None:
    """Set the values of overrides on a configuration, in place, as Hydra does."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    ConfigLoaderImpl._apply_overrides_to_config(overrides, config)


def override_dirname(overrides: list[Override], exclude_keys: list[str], item_sep: str, kv_sep: str) -> str:
    """Return the value of ``${hydra.job.override_dirname}``."""
    from hydra._internal.config_loader_impl import get_overrides_dirname

    return str(get_overrides_dirname(overrides, exclude_keys, item_sep=item_sep, kv_sep=kv_sep))


def is_glob(override: Override) -> bool:
    """Return whether the value of an override is ``glob(...)``, whose choices only a loader knows."""
    from hydra.core.override_parser.types import Glob

    return isinstance(override._value, Glob)


def complete_config(plugin: Any, line: str) -> list[str]:
    """Return the completions of a line of overrides by one of Hydra's completion plugins."""
    completions: list[str] = plugin._query("config", line)
    return completions


def find_node(config: DictConfig, path: Sequence[str]) -> Node | None:
    """Return the node at a path of keys, with its declared type, or None if there is none."""
    from omegaconf import DictConfig, Node

    node: Any = config
    for key in path:
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or key not in node._content:  # type: ignore[operator]
            return None
        node = node._get_node(key)
    return node if isinstance(node, Node) else None


def is_read_only(node: Node) -> bool:
    """Return whether OmegaConf would refuse to change the node."""
    return bool(node._get_flag("readonly"))


def yaml_string_representer() -> Callable[..., Any]:
    """Return OmegaConf's choice of quotes for a string."""
    from omegaconf._utils import get_omega_conf_dumper

    representer: Callable[..., Any] = get_omega_conf_dumper().str_representer
    return representer
