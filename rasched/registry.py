"""Classes by name.

Rules, environments and agents each have one :class:`Registry`. A user's package joins by an entry point of the
registry's group. It is imported if a name is not one of ours, or if all names are listed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from rasched.errors import UsageError
from rasched.validation import did_you_mean, from_mapping

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes by name.

    ``kind`` names them in error messages, ``group`` is the entry-point group of users' packages.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Return a class decorator that registers the class under ``name`` and sets its ``name``."""

        def decorate(cls: type[T]) -> type[T]:
            cls.name = name  # type: ignore[attr-defined]  # every registered base declares `name`
            self._classes[name] = cls
            return cls

        return decorate

    def names(self) -> list[str]:
        """Return all known names, sorted, those of installed packages included."""
        return sorted({*self._classes, *self._entry_points()})

    def get(self, name: str) -> type[T]:
        """Return the class of that name; an unknown name is a ValueError that lists the known and the nearest."""
        if name not in self._classes:
            entry_point = self._entry_points().get(name)
            if entry_point is None:
                known = self.names()
                raise ValueError(
                    f"{self.kind} {name!r} is unknown; known {self.kind}s: {', '.join(known)}"
                    f"{did_you_mean(str(name), known)}"
                )
            self.register(name)(entry_point.load())
        return self._classes[name]

    def build(self, node: Mapping[str, Any]) -> T:
        """Return the object of ``{"name": ..., settings...}``; errors as of :func:`rasched.validation.from_mapping`."""
        settings = dict(node)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ValueError(f"{self.kind}.name must be text, one of: {', '.join(self.names())}; got {name!r}")
        return from_mapping(self.get(name), settings, self.kind, f"{self.kind} {name}")

    def _entry_points(self) -> dict[str, Any]:
        return {entry_point.name: entry_point for entry_point in entry_points(group=self.group)}


def build_class(group: str, node: Mapping[str, Any], base: type[T]) -> T:
    """Return the object of ``{"_target_": "package.module.Class", settings...}``, of a subclass of ``base``.

    The class is checked before it is called. Unlike Hydra's ``instantiate``, a file of settings can call nothing else.
    """
    settings = {key: value for key, value in node.items() if key not in ("_target_", "name")}
    path = str(node["_target_"])
    module, _, name = path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{group}._target_={path} cannot be imported ({error}); name an installed module's class, "
            "or put its folder on PYTHONPATH"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UsageError(f"{group}._target_={path} must be a subclass of {base.__module__}.{base.__name__}")
    return from_mapping(cls, settings, group)
