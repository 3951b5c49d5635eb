"""Look up environments of Gymnasium by id, and explain in one sentence why one cannot be made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

import gymnasium

T = TypeVar("T")
# Families of Gymnasium's environments that need another package, and the extra that installs it.
_EXTRAS = {
    "box2d": "rasched[box2d]",
    "classic_control": "rasched[video]",  # to render them only
    "mujoco": "gymnasium[mujoco]",
    "toy_text": "gymnasium[toy-text]",
}
_PACKAGES = {"ALE": "ale-py", "MiniGrid": "minigrid", "BabyAI": "minigrid"}


def get_spec(env_id: str, module: str | None) -> Any:
    """Return the specification of an id, after importing the module that registers it.

    Raises ValueError if the module cannot be imported or the id is not registered, with the nearest spelling.
    """
    id_module, _, name = env_id.rpartition(":")  # Gymnasium's own way to name a module: "module:Env-v0"
    our_module = "rasched.envs.bandits.registration" if name.startswith("rasched/") else None
    for path in (module, id_module, our_module):
        if path:
            _import_module(path)
    if name not in gymnasium.registry:
        raise ValueError(f"env.id {name!r} is unknown to Gymnasium{_suggestion(name)}")
    return gymnasium.registry[name]


def make_or_raise(env_id: str, make: Callable[[], T]) -> T:
    """Return ``make()``.

    Raises ValueError, in one sentence, if a package is missing or the environment refuses a keyword.
    """
    try:
        return make()
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        hint = install_hint(env_id, error)
        raise ValueError(f"environment {env_id} needs a package that is not installed: {hint}") from error
    except (TypeError, gymnasium.error.Error) as error:
        raise ValueError(f"environment {env_id} cannot be made with these env.kwargs: {first_line(error)}") from error


def _import_module(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"env.module={module} cannot be imported ({error}): install its package, or put its folder on PYTHONPATH"
        ) from error


def _suggestion(name: str) -> str:
    family = name.split("/")[0].split("-")[0] if "/" in name or "-" in name else name
    if family in _PACKAGES:
        package = _PACKAGES[family]
        return f": pip install {package}, and add env.module={package.replace('-', '_')}"
    known_ids = [known for known in gymnasium.registry if "/" not in known or "/" in name]
    near = get_close_matches(name, known_ids, n=3, cutoff=0.6)
    if not near:
        near = [known for known in known_ids if known.lower().startswith(name.lower())][:3]
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    return f"{hint}; if another package registers the id, name its module: env.module=..."


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or the name of its type if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def install_hint(env_id: str, error: Exception) -> str:
    """Return the command that installs the package that an environment needs."""
    entry_point = getattr(gymnasium.registry.get(env_id), "entry_point", None)
    for family, extra in _EXTRAS.items():
        if isinstance(entry_point, str) and entry_point.startswith(f"gymnasium.envs.{family}"):
            return f"pip install {extra!r}"
    if isinstance(error, ImportError) and error.name:
        return f"pip install {error.name.split('.')[0]} ({error})"
    return first_line(error)
