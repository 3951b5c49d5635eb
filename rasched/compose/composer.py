"""Compose ``conf/`` and a user's overrides by Hydra's own composer, without ``hydra.main``.

``hydra.main`` reads ``sys.argv``, returns nothing and turns every failure into exit code 1. Its parts do none of that.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from rasched.compose import plugins
from rasched.compose.error_messages import to_usage_error
from rasched.compose.hydra_compat import make_config_loader, make_search_path
from rasched.compose.schema import CONFIG_NAME, Schema, conf_dir
from rasched.errors import UsageError

_REQUIRED_HYDRA_GROUPS = ("hydra/launcher", "hydra/sweeper", "hydra/output")


class Composer:
    """Composes the configuration files of one command: rasched's, and those of the user's ``--config-dir``."""

    def __init__(
        self,
        loader: ConfigLoader,
        config_name: str | None = None,
        config_files: Mapping[str, str | None] | None = None,
    ) -> None:
        self.loader: Any = loader
        self.config_name = config_name or CONFIG_NAME
        self.config_files = dict(config_files or {})  # the arguments of `open`, for a process that composes later

    @classmethod
    def open(
        cls, config_dir: str | None = None, config_path: str | None = None, config_name: str | None = None
    ) -> Composer:
        """Return a composer for the flags of a command line; a folder that does not exist is a UsageError."""
        version.setbase("1.3")
        plugins.register()
        ConfigStore.instance().store(name="schema", node=Schema)
        search_path = make_search_path(os.path.abspath(config_path) if config_path else str(conf_dir()))
        if config_dir is not None:
            folder = Path(config_dir).absolute()
            if not folder.is_dir():
                raise UsageError(f"--config-dir {config_dir} is no folder; give one that holds rule/, env/, ... files")
            # in front of the schema and behind our own files, where hydra.main puts it too
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        GlobalHydra.instance().clear()
        paths = {"config_dir": config_dir, "config_path": config_path}
        files = {name: os.path.abspath(path) if path else None for name, path in paths.items()}
        return cls(make_config_loader(search_path), config_name, {**files, "config_name": config_name})

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Return the overrides in Hydra's grammar."""
        try:
            return OverridesParser.create(config_loader=self.loader).parse_overrides(list(overrides))
        except HydraException as error:
            raise to_usage_error(error, lambda: self._load([], RunMode.RUN)) from error

    def compose(self, overrides: Sequence[str], num: int = 0, mode: RunMode = RunMode.RUN) -> DictConfig:
        """Return the whole configuration, its ``hydra`` node included, as Hydra would for one job or for a sweep."""
        parsed = self.parse(overrides)
        self.register_entry_points(parsed)
        for override in parsed:
            self._check_choice(override)
        try:
            config = self._load(overrides, mode)
        except (HydraException, OmegaConfBaseException) as error:
            raise to_usage_error(error, lambda: self._load_group_choices(overrides, mode), overrides) from error
        except Exception as error:  # Hydra checks some values by using them
            raise UsageError(f"Hydra cannot compose {' '.join(overrides)}: {' '.join(str(error).split())}") from error
        if mode == RunMode.RUN:
            set_job_runtime(config, num)
        return config

    def register_entry_points(self, overrides: Sequence[Override]) -> None:
        """Register the installed classes that the overrides name, before their files are looked for."""
        plugins.register_entry_points(overrides)

    def is_sweep(self, overrides: Sequence[str], multirun: bool) -> bool:
        """Return whether the overrides are for many jobs: ``-m``, or Hydra's own ``hydra.mode=MULTIRUN``."""
        modes = [o.value() for o in self.parse(overrides) if o.key_or_group == "hydra.mode"]
        return multirun or "MULTIRUN" in modes

    def is_group(self, override: Override) -> bool:
        """Return whether the override chooses a file of a group, rather than setting a value."""
        return not isinstance(override.value(), dict) and self.loader.repository.group_exists(override.key_or_group)

    def _check_choice(self, override: Override) -> None:
        """Raise a UsageError if a group gets something else than the name of one of its files."""
        key = override.key_or_group
        if override.is_delete() or override.is_sweep_override() or not self.loader.repository.group_exists(key):
            return
        value = override.value()
        is_name = isinstance(value, (str, dict)) or (key.startswith("hydra/") and isinstance(value, list))
        if not is_name and not (value is None and key.startswith("hydra/") and key not in _REQUIRED_HYDRA_GROUPS):
            options = ", ".join(self.loader.get_group_options(key))
            raise UsageError(f"{override.input_line} must name a file of the group {key}; known: {options}")

    def _load(self, overrides: Sequence[str], mode: RunMode) -> DictConfig:
        config: DictConfig = self.loader.load_configuration(self.config_name, list(overrides), run_mode=mode)
        return config

    def _load_group_choices(self, overrides: Sequence[str], mode: RunMode) -> DictConfig:
        choices = [o for o in self.parse(overrides) if self.is_group(o) and not o.is_sweep_override()]
        return self._load([str(o.input_line) for o in choices], mode)


def set_job_runtime(config: DictConfig, num: int) -> None:
    """Set what Hydra sets when a job starts, so that ``${hydra:job.num}`` and the like resolve."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.num = num
        config.hydra.job.id = str(num)
    HydraConfig.instance().set_config(config)


def set_output_dir(config: DictConfig, folder: Path) -> None:
    """Write the job's folder where ``${hydra:runtime.output_dir}`` looks for it."""
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = str(folder.absolute())
    HydraConfig.instance().set_config(config)


def task_config(config: DictConfig) -> DictConfig:
    """Return a copy of the configuration without Hydra's node; a masked copy would lose the types of the schema."""
    task = copy.deepcopy(config)
    with read_write(task), open_dict(task):
        del task["hydra"]
    return task
