"""One row of metrics, made from all gradient steps on the same rollout."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan

import torch
from torch import Tensor

Value = Tensor | float


class MetricsRow:
    """Collects columns: of some the last value counts, of others the mean. NaN is no value.

    A value is a float for a single run, or a tensor ``(num_runs,)`` for a batch.
    """

    def __init__(self) -> None:
        self._last: dict[str, Value] = {}
        self._values: dict[str, list[Value]] = {}

    def set(self, columns: Mapping[str, Value]) -> None:
        """Set columns whose last value counts, run by run."""
        for name, value in columns.items():
            previous = self._last.get(name)
            self._last[name] = value if previous is None else _replace_nan(value, previous)

    def add_mean(self, columns: Mapping[str, Value]) -> None:
        """Add to columns whose mean counts, run by run."""
        for name, value in columns.items():
            self._values.setdefault(name, []).append(value)

    def pop(self) -> dict[str, Value]:
        """Return the columns and start a new row."""
        columns = {**self._last, **{name: _mean(values) for name, values in self._values.items()}}
        self._last, self._values = {}, {}
        return columns


def _replace_nan(value: Value, previous: Value) -> Value:
    if isinstance(value, Tensor):
        return torch.where(value.isnan(), previous, value)
    return previous if value != value else value


def _mean(values: list[Value]) -> Value:
    if len(values) == 1:
        return values[0]
    if not isinstance(values[0], Tensor):
        present = [v for v in values if v == v]
        return sum(present) / len(present) if present else nan
    stacked = torch.stack([torch.as_tensor(v).double() for v in values])
    # Not `nanmean`: its order of addition depends on the size of the batch, and a run's numbers must not.
    return stacked.nan_to_num(0.0).cumsum(0)[-1] / (~stacked.isnan()).sum(0)
