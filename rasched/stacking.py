"""One dataclass for one run or for many runs.

A rule, or the path from reward to signal, is a slots dataclass. Its settings are the fields of its constructor, and
everything that changes is a :func:`state` field. With floats an object serves one run. :func:`stack` makes the object
that serves many runs: its fields are float64 tensors of shape ``(num_runs,)`` and its methods are the same. State is
rebound and never written in place, so a tuple of the fields is a snapshot.
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
    """Declare a field that changes; ``length`` names the setting that holds the number of entries of a window."""
    return field(default=default, init=False, repr=False, metadata={"length": length})


def context(default: Any) -> Any:
    """Declare a field that the user of the object fills in: not a setting, and not part of the state."""
    return field(default=default, init=False, repr=False, metadata={"context": True})


def context_names(cls: type) -> tuple[str, ...]:
    """Return the names of the fields declared with :func:`context`."""
    names = _CONTEXT_NAMES.get(cls)
    if names is None:
        names = _CONTEXT_NAMES[cls] = tuple(f.name for f in fields(cls) if f.metadata.get("context"))
    return names


def shared(default: Any) -> Any:
    """Declare a setting that all stacked runs must share, because it changes a shape or a branch."""
    return field(default=default, metadata={"shared": True})


def state_names(cls: type) -> tuple[str, ...]:
    """Return the names of the state fields of a dataclass."""
    names = _STATE_NAMES.get(cls)
    if names is None:
        names = _STATE_NAMES[cls] = tuple(f.name for f in fields(cls) if not f.init and not f.metadata.get("context"))
    return names


_STATE_NAMES: dict[type, tuple[str, ...]] = {}
_CONTEXT_NAMES: dict[type, tuple[str, ...]] = {}


def settings_of(obj: Any) -> dict[str, Any]:
    """Return the settings of an object by name."""
    return {f.name: getattr(obj, f.name) for f in fields(obj) if f.init}


def snapshot(obj: Any) -> tuple[Any, ...]:
    """Return the values of all state fields, for :func:`restore`."""
    return tuple([getattr(obj, name) for name in state_names(type(obj))])


def restore(obj: Any, saved: Sequence[Any]) -> None:
    """Set all state fields to the values of a :func:`snapshot`."""
    for name, value in zip(state_names(type(obj)), saved, strict=True):
        setattr(obj, name, value)


def restore_where_not(stacked: Any, is_changed: Tensor, saved: Sequence[Any]) -> None:
    """Restore the state of the runs of a stacked object for which ``is_changed``, shape ``(num_runs,)``, is false."""
    for name, old in zip(state_names(type(stacked)), saved, strict=True):
        setattr(stacked, name, where(is_changed, getattr(stacked, name), old))


def stack(singles: Sequence[T]) -> T:
    """Return one object that serves all runs of the given objects.

    Raises ValueError if these are not of one class or differ in a shared setting.
    """
    first = singles[0]
    if any(type(single) is not type(first) for single in singles):
        names = sorted({type(single).__name__ for single in singles})
        raise ValueError(f"only objects of one class stack, got {names}")
    stacked = copy.copy(first)
    for f in fields(first):  # type: ignore[arg-type]  # T is a dataclass
        setattr(stacked, f.name, _stack_field(f, singles))
    return stacked


def unstack(stacked: T, run_index: int) -> T:
    """Return the object of one run of a stacked object."""
    single = copy.copy(stacked)
    for f in fields(stacked):  # type: ignore[arg-type]  # T is a dataclass
        value = getattr(stacked, f.name)
        if isinstance(value, Tensor):
            entries = value[..., run_index].tolist()
            setattr(single, f.name, tuple(x for x in entries if x == x) if isinstance(entries, list) else entries)
    return single


def _stack_field(f: Field[Any], singles: Sequence[Any]) -> Any:
    values = [getattr(single, f.name) for single in singles]
    length = f.metadata.get("length")
    if length is not None:
        size = getattr(singles[0], length)
        rows = [[torch.nan] * (size - len(window)) + list(window) for window in values]
        return torch.tensor(rows, dtype=torch.float64).T.contiguous()
    if f.metadata.get("shared") or not isinstance(values[0], float):
        if any(value != values[0] for value in values):
            raise ValueError(f"runs of one batch must share {f.name}, got {sorted(set(map(str, values)))}")
        return values[0]
    return torch.tensor(values, dtype=torch.float64)


def state_dict(obj: Any) -> dict[str, Any]:
    """Return the state of an object as plain numbers, strings and lists; of a stacked one, as tensors."""
    return {name: _as_plain(getattr(obj, name)) for name in state_names(type(obj))}


def load_state_dict(single: Any, saved: Mapping[str, Any]) -> None:
    """Restore the result of :func:`state_dict`; a ValueError, with nothing changed, if it does not fit."""
    names = state_names(type(single))
    if set(saved) != set(names):
        raise ValueError(f"the saved state of {type(single).__name__} holds {sorted(saved)}, expected {sorted(names)}")
    restore(single, [tuple(value) if isinstance(value := saved[name], list) else value for name in names])


def _as_plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_as_plain(v) for v in value]
    if isinstance(value, (bool, int, str, Tensor)) or value is None:
        return value
    return float(value)


def run_index(indices: list[int]) -> slice | Tensor:
    """Return run indices as a slice if they are consecutive: a view takes a third of the time of a gather."""
    if indices == list(range(indices[0], indices[0] + len(indices))):
        return slice(indices[0], indices[-1] + 1)
    return torch.tensor(indices)
