"""One row of the records, from one optimizer step or from several on the same experience."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

import torch
from torch import Tensor

Value = Tensor | float


class Row:
    """Columns under way: some keep the last value that is one, the others the mean of all values that are."""

    def __init__(self) -> None:
        self._last: dict[str, Value] = {}
        self._all: dict[str, list[Value]] = {}

    def __bool__(self) -> bool:
        return bool(self._last)

    def keep(self, columns: Mapping[str, Value]) -> None:
        """Take values of which the last one counts, run by run; NaN is none."""
        for name, value in columns.items():
            old = self._last.get(name)
            self._last[name] = value if old is None else _or_else(value, old)

    def average(self, columns: Mapping[str, Value]) -> None:
        """Take values of which the mean counts, run by run; NaN is none."""
        for name, value in columns.items():
            self._all.setdefault(name, []).append(value)

    def close(self) -> dict[str, Value]:
        """Return the columns, and begin a new row."""
        columns = {**self._last, **{name: _mean(values) for name, values in self._all.items()}}
        self._last, self._all = {}, {}
        return columns


def _or_else(value: Value, old: Value) -> Value:
    if isinstance(value, Tensor):
        return torch.where(value.isnan(), old, value)
    return old if value != value else value


def _mean(values: list[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    if not isinstance(values[0], Tensor):
        there = [v for v in values if v == v]
        return sum(there) / len(there) if there else nan
    stacked = torch.stack([torch.as_tensor(v).double() for v in values])
    # Not `nanmean`: its order of addition depends on the size of the batch, and a run's numbers must not.
    return stacked.nan_to_num(0.0).cumsum(0)[-1] / (~stacked.isnan()).sum(0)
