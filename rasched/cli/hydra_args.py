"""The words behind ``rasched run``, read by Hydra's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from rasched.errors import UsageError


@dataclass(frozen=True)
class Words:
    """What Hydra's flags and overrides ask for."""

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
    def shows(self) -> bool:
        """Whether something is to be shown instead of run."""
        return bool(self.cfg or self.info or self.help or self.hydra_help)


def parse(words: Sequence[str]) -> Words:
    """Return what the words ask for; flags and overrides may mix. Contradictions are a UsageError."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    try:
        args = parser.parse_intermixed_args(list(words))
    except argparse.ArgumentError as error:
        _refuse(str(error))
    if args.experimental_rerun is not None:
        raise UsageError("--experimental-rerun unpickles a file, which may run anything; give the overrides instead")
    if args.shell_completion:
        raise UsageError("completion is installed by `rasched --install-completion`")
    asked = [flag for flag in ("cfg", "info", "multirun", "run") if getattr(args, flag)]
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} exclude one another: leave one of the two out")
    if args.resolve and not (args.cfg or args.help):
        raise UsageError("--resolve goes with --cfg only")
    if args.package and not args.cfg:
        raise UsageError("--package goes with --cfg only")
    taken = {name: getattr(args, name) for name in Words.__dataclass_fields__}
    return Words(**taken)


def _refuse(message: str) -> NoReturn:
    raise UsageError(f"{message}; `rasched run --hydra-help` lists the flags")
