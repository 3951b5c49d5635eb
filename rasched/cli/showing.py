"""What Hydra shows instead of running: the configuration, how it came about, and its own help."""

from __future__ import annotations

from rasched.cli.hydra_args import Words
from rasched.compose.composer import Composer
from rasched.errors import UsageError


def show(said: Words) -> int:
    """Print it to stdout and return the exit code."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import get_args_parser

    composer = Composer.open(said.config_dir, said.config_path, said.config_name)
    config = composer.compose(said.overrides)  # its errors are sentences, Hydra's own are not
    hydra = Hydra(task_name="rasched", config_loader=composer.loader)
    if said.cfg:
        if said.package not in (None, "_global_") and not _holds(config, str(said.package)):
            raise UsageError(f"--package {said.package} is nowhere in the configuration; try rule, env or optimizer")
        hydra.show_cfg(composer.config_name, said.overrides, said.cfg, said.package, said.resolve)
    elif said.info:
        hydra.show_info(said.info, composer.config_name, said.overrides)
    elif said.hydra_help:
        hydra.hydra_help(composer.config_name, get_args_parser(), said)
    else:
        hydra.app_help(composer.config_name, get_args_parser(), said)
    return 0


def _holds(config: object, package: str) -> bool:
    from omegaconf import OmegaConf

    return OmegaConf.select(config, package) is not None  # type: ignore[arg-type]
