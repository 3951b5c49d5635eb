"""The job of a run again, from the files that the run left, without the configuration files that it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rasched.compose.job import Job
from rasched.errors import DamagedFileError, UsageError
from rasched.records.files import write_file
from rasched.records.safe_read import MAX_YAML_BYTES, load_yaml, read_bounded
from rasched.records.trust import find_code_import

_FILES = ("config.yaml", "overrides.yaml", "hydra.yaml")


def read_recorded_job(folder: Path, trust: bool = False) -> Job:
    """Return the job with the settings that ``.hydra/`` of a run's folder holds.

    Nothing that the files name is imported unless ``trust``.

    Raises:
        UsageError: There are no settings, they cannot be read, or they name code and are not trusted.

    """
    try:
        config = _resolve(load_yaml(folder / ".hydra" / "config.yaml"))
        overrides = load_yaml(folder / ".hydra" / "overrides.yaml")
    except (OSError, DamagedFileError, OmegaConfBaseException, TypeError, ValueError) as error:
        raise UsageError(f"the settings of {folder} cannot be read: {' '.join(str(error).split())}") from error
    setting = find_code_import(config)
    if setting is not None and not trust:
        raise UsageError(f"{folder} imports code of its own ({setting}); if you trust it, add --trust")
    return Job(0, tuple(str(line) for line in overrides), config)


def copy_hydra_files(source: Path, folder: Path) -> None:
    """Write ``.hydra/`` of one run into the new folder of another."""
    (folder / ".hydra").mkdir(exist_ok=True)
    for name in _FILES:
        if (source / ".hydra" / name).is_file():
            write_file(folder / ".hydra" / name, read_bounded(source / ".hydra" / name, MAX_YAML_BYTES))


def _resolve(config: Any) -> dict[str, Any]:
    """Return settings whose interpolations, such as ``${steps}``, are replaced by values."""
    resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True, throw_on_missing=True)
    if not isinstance(resolved, dict):
        raise TypeError("config.yaml holds no settings")
    return {str(key): value for key, value in resolved.items()}
