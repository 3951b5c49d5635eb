"""``policy.pt``: the trained policy of a run, which ``torch.load(weights_only=True)`` reads."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rasched.errors import CheckpointError, DamagedFileError, UsageError
from rasched.records.checkpoint import seal, unseal
from rasched.records.files import write_file
from rasched.records.trust import find_code_import
from rasched.train.policy import Policy

POLICY = "policy.pt"
_VERSION = 1


def save_policy(folder: Path, state: Mapping[str, Any], config: Mapping[str, Any], seed: int) -> None:
    """Write the policy of :func:`rasched.train.policy.policy_state` into a run's folder.

    ``config`` are the run's settings, of which those of agent and environment are kept. Raises OSError.
    """
    settings = {name: config[name] for name in ("agent", "env")}
    write_file(folder / POLICY, seal({"version": _VERSION, **settings, "seed": seed, **state}))


def load_policy(folder: Path, trust: bool = False) -> Policy:
    """Read the policy of a run. Nothing that the file names is imported unless ``trust``.

    Raises:
        UsageError: There is none, or it needs code of its own and is not trusted.
        DamagedFileError: The file cannot be read.

    """
    path = folder / POLICY
    try:
        content = unseal(path.read_bytes())
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder} holds no {POLICY}: a sweep keeps that of its best run, unless it began with "
            "logger.keep_policy=all; a run that is not done has none"
        ) from error
    except (CheckpointError, OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise DamagedFileError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise DamagedFileError(f"{path} is no policy that this version of rasched reads")
    code = find_code_import(content)
    if code is not None and not trust:
        raise UsageError(f"{path} imports code of its own ({code}); if you trust it, add --trust (trust=True)")
    try:
        return Policy(content)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedFileError(f"{path} cannot be used: {type(error).__name__}: {error}") from error
