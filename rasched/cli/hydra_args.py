"""Read the arguments of ``rasched run`` by Hydra's own parser, and print what Hydra's information flags ask for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from rasched.compose.hydra_compat import make_args_parser, make_hydra
from rasched.compose.schema import GROUPS
from rasched.compose.shorthand import expand_shorthand
from rasched.errors import UsageError


@dataclass(frozen=True)
class HydraArgs:
    """The overrides and Hydra's flags of a command line."""

    overrides: list[str]
    multirun: bool
    cfg: str | None
    info: str | None
    help: bool
    hydra_help: bool
    package: str | None
    resolve: bool
    config_dir: str | None
    config_path: str | None
    config_name: str | None

    @property
    def is_info_request(self) -> bool:
        """Whether something is to be printed instead of run."""
        return bool(self.cfg or self.info or self.help or self.hydra_help)


def parse_args(args: Sequence[str]) -> HydraArgs:
    """Return the parsed arguments; flags and overrides may mix. Flags that exclude each other are a UsageError."""
    parser = make_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    _explain_flags(args)
    try:
        parsed = parser.parse_intermixed_args(list(args))
    except argparse.ArgumentError as error:
        _refuse(str(error))
    if parsed.experimental_rerun is not None:
        raise UsageError("--experimental-rerun unpickles a file, which may run anything; give the overrides instead")
    if parsed.shell_completion:
        raise UsageError("completion is installed by `rasched --install-completion`")
    modes = [flag for flag in ("cfg", "info", "multirun", "run") if getattr(parsed, flag)]
    if len(modes) > 1:
        raise UsageError(f"--{modes[0]} and --{modes[1]} exclude one another: leave one of the two out")
    if parsed.resolve and not (parsed.cfg or parsed.help):
        raise UsageError("--resolve goes with --cfg only")
    if parsed.package and not parsed.cfg:
        raise UsageError("--package goes with --cfg only")
    fields = {name: getattr(parsed, name) for name in HydraArgs.__dataclass_fields__}
    return HydraArgs(**{**fields, "overrides": expand_shorthand(parsed.overrides)})


def _explain_flags(args: Sequence[str]) -> None:
    """Raise a UsageError for ``--rule kelly`` and ``rule: kelly``, which are written as overrides."""
    for index, flag in enumerate(args):
        if flag.endswith(":") and flag[:-1] in (*GROUPS, "steps", "seed") and index + 1 < len(args):
            raise UsageError(f"{flag} {args[index + 1]} is no override: write {flag[:-1]}={args[index + 1]}")
        group = flag.removeprefix("--").partition("=")[0]
        if flag.startswith("--") and group in (*GROUPS, "steps", "seed"):
            chosen = flag.partition("=")[2] or next(iter(args[index + 1 :]), "NAME")
            raise UsageError(f"{flag} is no flag: settings are written without dashes, as in {group}={chosen}")


def _refuse(message: str) -> NoReturn:
    raise UsageError(f"{message}; `rasched run --hydra-help` lists the flags")


def print_info(args: HydraArgs) -> int:
    """Print the configuration, how it came about, or Hydra's help, to stdout; return the exit code."""
    from omegaconf import OmegaConf

    from rasched.compose.composer import Composer

    composer = Composer.open(args.config_dir, args.config_path, args.config_name)
    config = composer.compose(args.overrides)  # first, because its errors are sentences and Hydra's are not
    hydra = make_hydra(composer.loader)
    if args.cfg:
        package = args.package
        if package not in (None, "_global_") and OmegaConf.select(config, str(package)) is None:
            raise UsageError(f"--package {package} is nowhere in the configuration; try rule, env or optimizer")
        hydra.show_cfg(composer.config_name, args.overrides, args.cfg, package, args.resolve)
    elif args.info:
        hydra.show_info(args.info, composer.config_name, args.overrides)
    elif args.hydra_help:
        hydra.hydra_help(composer.config_name, make_args_parser(), args)
    else:
        hydra.app_help(composer.config_name, make_args_parser(), args)
    return 0
