"""Finding a Gymnasium environment by its id, and saying in one sentence why it cannot be made."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

import gymnasium

T = TypeVar("T")
# families of Gymnasium's environments whose packages are extras, some of them also ours
_EXTRAS = {
    "box2d": "rasched[box2d]",
    "classic_control": "rasched[video]",  # to draw them; they are played without
    "mujoco": "gymnasium[mujoco]",
    "toy_text": "gymnasium[toy-text]",
}
_ELSEWHERE = {"ALE": "ale-py", "MiniGrid": "minigrid", "BabyAI": "minigrid"}


def find(env_id: str, module: str | None) -> Any:
    """Return the specification of an id, after importing the module that registers it.

    Raises ValueError for a module that cannot be imported and an id that nobody registered, with the nearest spelling.
    """
    named, _, name = env_id.rpartition(":")  # Gymnasium's own way to name a module: "module:Env-v0"
    ours = "rasched.envs.bandits.registration" if name.startswith("rasched/") else None
    for path in (module, named, ours):
        if path:
            _import(path)
    if name not in gymnasium.registry:
        raise ValueError(f"env.id {name!r} is unknown to Gymnasium{_way_out(name)}")
    return gymnasium.registry[name]


def made(name: str, make: Callable[[], T]) -> T:
    """Return what ``make`` makes of the environment of that name.

    Raises ValueError, in one sentence, for a package that is missing and a keyword that the environment refuses.
    """
    try:
        return make()
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise ValueError(f"environment {name} needs a package that is not installed: {install(name, error)}") from error
    except (TypeError, gymnasium.error.Error) as error:
        raise ValueError(f"environment {name} cannot be made with these env.kwargs: {first_line(error)}") from error


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"env.module={module} cannot be imported ({error}): install its package, or put its folder on PYTHONPATH"
        ) from error


def _way_out(name: str) -> str:
    family = name.split("/")[0].split("-")[0] if "/" in name or "-" in name else name
    if family in _ELSEWHERE:
        package = _ELSEWHERE[family]
        return f": pip install {package}, and name its module, env.module={package.replace('-', '_')}"
    plain = [known for known in gymnasium.registry if "/" not in known or "/" in name]
    near = get_close_matches(name, plain, n=3, cutoff=0.6)
    if not near:
        near = [known for known in plain if known.lower().startswith(name.lower())][:3]
    hint = f" (did you mean {' or '.join(repr(word) for word in near)}?)" if near else ""
    return f"{hint}; for an id of another package, name the module that registers it: env.module=..."


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its type's name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def install(name: str, error: Exception) -> str:
    """Return what brings the package that the environment of that name turned out to need."""
    entry = getattr(gymnasium.registry.get(name), "entry_point", None)
    for family, extra in _EXTRAS.items():
        if isinstance(entry, str) and entry.startswith(f"gymnasium.envs.{family}"):
            return f"pip install {extra!r}"
    if isinstance(error, ImportError) and error.name:
        return f"pip install {error.name.split('.')[0]} ({error})"
    return first_line(error)
