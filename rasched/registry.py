"""Settings by name: from a mapping of plain values to a checked dataclass, with errors that show the way out.

Rules, environments and agents each have one :class:`Registry`. A package of the user's own joins by an entry point of
the registry's group; it is imported when a name is not one of ours, or when all names are listed.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from numbers import Real as RealNumber
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


def spelling_hint(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'kelly'?)``, or nothing where no known word is near."""
    near = get_close_matches(word.lower(), list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def number(name: str, value: Any, allowed: str, is_allowed: Callable[[float], bool]) -> float:
    """Return a finite setting as a float; otherwise a ValueError that says what is allowed and what came.

    YAML's ``1`` is an int and a NumPy scalar is slow: below this line a setting is a float.
    """
    if isinstance(value, bool) or not isinstance(value, RealNumber):
        raise ValueError(f"{name} must be a number {allowed}, got {value!r}")
    plain = float(value)
    if not math.isfinite(plain) or not is_allowed(plain):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return plain


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ValueError, with the nearest spelling, for a setting that is none of the allowed words."""
    known = list(allowed)
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}{spelling_hint(str(value), known)}")


def setting_fields(cls: type) -> list[Field[Any]]:
    """Return the fields that a user sets: those of the dataclass's constructor."""
    return [f for f in fields(cls) if f.init]


def defaults(cls: type) -> dict[str, Any]:
    """Return the settings of a dataclass with their default values; a required one is ``MISSING``."""
    return {f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in setting_fields(cls)}


def build(cls: type[T], node: Mapping[str, Any], where: str, owner: str | None = None) -> T:
    """Return ``cls(**node)`` after checking every key and type.

    ``where`` is what the user typed before the dot; ``owner`` whose settings they are, where that says more.

    Raises ValueError, in one sentence, for an unknown key, a missing one, a value of the wrong type, and whatever the
    dataclass itself refuses.
    """
    known = {f.name: f for f in setting_fields(cls)}
    for key in node:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise ValueError(
                f"{owner or where} has no setting {key!r}; its settings: {listed}{spelling_hint(str(key), known)}"
            )
    for name, f in known.items():
        if name not in node and f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"{where}.{name} has no default: give a value, as in {where}.{name}=...")
    types_of = _types(cls)  # type: ignore[arg-type]  # a class is hashable
    return cls(**{key: _typed(value, types_of[key], where, key) for key, value in node.items()})


@cache  # it evaluates text: 0.5 ms, which a sweep would pay for each class of each job
def _types(cls: type) -> dict[str, tuple[Any, ...]]:
    """Return the types that each annotation allows."""
    hints = get_type_hints(cls).items()
    return {key: get_args(h) if get_origin(h) in (Union, types.UnionType) else (h,) for key, h in hints}


def _typed(value: Any, allowed: tuple[Any, ...], where: str, key: str) -> Any:
    """Return the value as the annotation wants it: a whole number passes for a float, never a bool for a number."""
    if type(value) in allowed:
        return value
    plain = [a for a in allowed if a in _WORDS]
    if not plain:
        return value
    if float in allowed and type(value) is int:
        return float(value)
    if int in allowed and type(value) is float and value.is_integer():
        return int(value)
    raise ValueError(f"{where}.{key} must be {' or '.join(_WORDS[a] for a in plain)}, got {value!r}")


class Registry(Generic[T]):
    """Classes by name; ``kind`` is the word of error messages, ``group`` the entry-point group of users' packages."""

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Return a class decorator that makes the class known under ``name`` and writes the name on it."""

        def decorate(cls: type[T]) -> type[T]:
            cls.name = name  # type: ignore[attr-defined]  # every registered base declares `name`
            self._classes[name] = cls
            return cls

        return decorate

    def names(self) -> list[str]:
        """Return all known names, sorted, the installed packages' included."""
        return sorted({*self._classes, *self._entry_points()})

    def get(self, name: str) -> type[T]:
        """Return the class of that name; an unknown name is a ValueError that lists the known and the nearest."""
        if name not in self._classes:
            found = self._entry_points().get(name)
            if found is None:
                known = self.names()
                raise ValueError(
                    f"{self.kind} {name!r} is unknown; known {self.kind}s: {', '.join(known)}"
                    f"{spelling_hint(str(name), known)}"
                )
            self.register(name)(found.load())
        return self._classes[name]

    def build(self, node: Mapping[str, Any]) -> T:
        """Return the object of ``{"name": ..., settings...}``; errors as of :func:`build`."""
        settings = dict(node)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ValueError(f"{self.kind}.name must be text, one of: {', '.join(self.names())}; got {name!r}")
        return build(self.get(name), settings, self.kind, f"{self.kind} {name}")

    def _entry_points(self) -> dict[str, Any]:
        return {point.name: point for point in entry_points(group=self.group)}
