"""One composed job. Workers read it, so this module imports neither Hydra nor torch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.compose.config_hash import config_hash, flatten
from rasched.compose.yaml_dump import CachedYaml, dump_strings
from rasched.records.files import write_file

if TYPE_CHECKING:
    from rasched.compose.settings import LoggerSettings
    from rasched.train.settings import RunSettings


@dataclass(frozen=True, eq=False)
class Job:
    """The configuration of one run, composed.

    Its containers are shared with the neighbours' if they are equal, so they are never written. ``hydra`` is Hydra's
    own node, unresolved; None if Hydra itself writes ``.hydra/``.
    """

    num: int
    overrides: tuple[str, ...]  # the user's, without those of Hydra's own settings
    config: Mapping[str, Any]  # resolved
    hydra: Mapping[str, Any] | None = None
    subdir: str = ""  # the run's folder below the sweep's
    config_yaml: str = ""  # unresolved, the text of .hydra/config.yaml
    hydra_cache: CachedYaml | None = None

    @cached_property
    def config_hash(self) -> str:
        """The hash of the settings that decide the run's numbers."""
        return config_hash(flatten(self.config))

    @cached_property
    def settings(self) -> RunSettings:
        """The settings to train with; a UsageError names a wrong one."""
        from rasched.compose.settings import run_settings

        return run_settings(self.config)

    @cached_property
    def logger(self) -> LoggerSettings:
        """The settings of what is written; a UsageError names a wrong one."""
        from rasched.compose.settings import logger_settings

        return logger_settings(self.config)

    @property
    def config_crc32(self) -> int | None:
        """The CRC-32 of ``.hydra/config.yaml``; None if Hydra itself writes it."""
        return None if self.hydra is None else zlib.crc32(self.config_yaml.encode())

    def write_hydra_files(self, folder: Path) -> None:
        """Write ``.hydra/`` into the run's folder as Hydra does, unless Hydra has done so; links are replaced."""
        if self.hydra is None:
            return
        hydra_dir = folder / ".hydra"
        folder.mkdir(parents=True, exist_ok=True)
        if hydra_dir.is_symlink():
            hydra_dir.unlink()
        hydra_dir.mkdir(exist_ok=True)
        for name, text in (
            ("config", self.config_yaml),
            ("overrides", dump_strings(self.overrides)),
            ("hydra", self.hydra_yaml(folder)),
        ):
            write_file(hydra_dir / f"{name}.yaml", text)

    def hydra_yaml(self, output_dir: Path) -> str:
        """Return the text of ``.hydra/hydra.yaml`` for a run that writes to ``output_dir``."""
        assert self.hydra is not None and self.hydra_cache is not None, "Hydra writes this job's files"
        runtime = {**self.hydra["runtime"], "output_dir": str(output_dir.absolute())}
        return "hydra:\n" + self.hydra_cache.dump({**self.hydra, "runtime": runtime}, "  ")
