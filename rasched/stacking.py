"""One object for one run or for many: slots dataclasses whose fields are reals.

A rule, or the path from reward to signal, is a dataclass: settings are the fields of its constructor, everything that
moves is a :func:`state` field. With floats it serves one run; :func:`stack` makes the object that serves many, whose
fields are float64 tensors of shape ``(runs,)`` and whose methods are the same text. State is rebound, never written in
place: then a tuple of the fields is a snapshot.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from rasched.numerics import where

T = TypeVar("T")


def state(default: Any, *, length: str | None = None) -> Any:
    """Declare a field that moves; ``length`` names the setting that says how many entries a window has."""
    return field(default=default, init=False, repr=False, metadata={"length": length})


def shared(default: Any) -> Any:
    """Declare a setting that all stacked runs must share, because it changes a shape or a branch."""
    return field(default=default, metadata={"shared": True})


def state_names(cls: type) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass that move."""
    names = _STATE_NAMES.get(cls)
    if names is None:
        names = _STATE_NAMES[cls] = tuple(f.name for f in fields(cls) if not f.init)
    return names


_STATE_NAMES: dict[type, tuple[str, ...]] = {}


def settings_of(one: Any) -> dict[str, Any]:
    """Return the settings of an object by name."""
    return {f.name: getattr(one, f.name) for f in fields(one) if f.init}


def snapshot(one: Any) -> tuple[Any, ...]:
    """Return everything that moves, for :func:`restore`."""
    return tuple([getattr(one, name) for name in state_names(type(one))])


def restore(one: Any, saved: Sequence[Any]) -> None:
    """Put back what :func:`snapshot` took."""
    for name, value in zip(state_names(type(one)), saved, strict=True):
        setattr(one, name, value)


def restore_where_not(one: Any, moved: Tensor, saved: Sequence[Any]) -> None:
    """Undo, in a stacked object, the last move of the runs for which ``moved`` (shape ``(runs,)``) is false."""
    for name, old in zip(state_names(type(one)), saved, strict=True):
        setattr(one, name, where(moved, getattr(one, name), old))


def stack(ones: Sequence[T]) -> T:
    """Return one object for all the given ones, which must be of one class and agree in what they share.

    Raises ValueError where they do not.
    """
    first = ones[0]
    if any(type(one) is not type(first) for one in ones):
        raise ValueError(f"only objects of one class stack, got {sorted({type(one).__name__ for one in ones})}")
    many = copy.copy(first)
    for f in fields(first):  # type: ignore[arg-type]  # T is a dataclass
        setattr(many, f.name, _column(f, [getattr(one, f.name) for one in ones], ones))
    return many


def unstack(many: T, run: int) -> T:
    """Return the single object of one run of a stacked one."""
    one = copy.copy(many)
    for f in fields(many):  # type: ignore[arg-type]  # T is a dataclass
        value = getattr(many, f.name)
        if isinstance(value, Tensor):
            entries = value[..., run].tolist()
            setattr(one, f.name, tuple(x for x in entries if x == x) if isinstance(entries, list) else entries)
    return one


def _column(f: Field[Any], values: list[Any], ones: Sequence[Any]) -> Any:
    length = f.metadata.get("length")
    if length is not None:
        size = getattr(ones[0], length)
        return torch.tensor(
            [[torch.nan] * (size - len(v)) + list(v) for v in values], dtype=torch.float64
        ).T.contiguous()
    if f.metadata.get("shared") or not isinstance(values[0], float):
        if any(v != values[0] for v in values):
            raise ValueError(f"runs of one batch must share {f.name}, got {sorted(set(map(str, values)))}")
        return values[0]
    return torch.tensor(values, dtype=torch.float64)


def state_dict(one: Any) -> dict[str, Any]:
    """Return what moves in a single object as plain numbers, text and lists."""
    return {name: _plain(getattr(one, name)) for name in state_names(type(one))}


def load_state_dict(one: Any, saved: Mapping[str, Any]) -> None:
    """Restore what :func:`state_dict` gave; a ValueError, and nothing changed, where the names are not the same."""
    names = state_names(type(one))
    if set(saved) != set(names):
        raise ValueError(f"the saved state of {type(one).__name__} holds {sorted(saved)}, expected {sorted(names)}")
    restore(one, [tuple(v) if isinstance(v := saved[name], list) else v for name in names])


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    return float(value)


def run_index(places: list[int]) -> slice | Tensor:
    """Return places along the run axis as a slice where they are neighbours: a view costs a third of a gather."""
    if places == list(range(places[0], places[0] + len(places))):
        return slice(places[0], places[-1] + 1)
    return torch.tensor(places)
