"""Scores of runs, from their columns: pure functions of arrays.

A column has shape (steps,) for one run or (steps, runs) for many, NaN where a step has no value. A run that ended early
has only NaN after its end, and its last tenth is the last tenth of what it has.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def _ends(values: Floats) -> NDArray[np.int64]:
    """Rows up to the last value, of shape (runs,) or (); 0 where there is none."""
    present = ~np.isnan(values)
    return np.where(present.any(axis=0), len(values) - np.argmax(present[::-1], axis=0), 0)


def last_tenth(values: Floats) -> Floats:
    """Keep the last tenth of each run (at least one row) and put NaN elsewhere; same shape."""
    ends = _ends(values)
    rows = np.arange(len(values)).reshape(-1, *[1] * (values.ndim - 1))
    tail: Floats = np.where((rows >= ends - np.ceil(ends / 10)) & (rows < ends), values, np.nan)
    return tail


def mean(values: Floats) -> Floats:
    """Mean over steps of the values that are there, shape (runs,) or (); NaN where there is none."""
    count = (~np.isnan(values)).sum(axis=0)
    total = _sum(values)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def total(values: Floats) -> Floats:
    """Sum over steps, shape (runs,) or (); NaN where there is no value at all."""
    return np.where(_ends(values) > 0, _sum(values), np.nan)


def _sum(values: Floats) -> Floats:
    """Add up in order: in the last bit, NumPy's own sum depends on how long and how wide the array is."""
    if not len(values):
        return np.zeros(values.shape[1:])
    running: Floats = np.cumsum(np.where(np.isnan(values), 0.0, values), axis=0)
    return np.asarray(running[-1])


def first(values: Floats) -> Floats:
    """First value that is there, shape (runs,) or ()."""
    row = np.argmax(~np.isnan(values), axis=0)
    return _at(values, row)


def last(values: Floats) -> Floats:
    """Last value that is there, shape (runs,) or ()."""
    return _at(values, np.maximum(_ends(values) - 1, 0))


def _at(values: Floats, row: NDArray[np.int64]) -> Floats:
    picked: Floats = np.take_along_axis(values, np.asarray(row)[None], axis=0)[0]
    return picked


def minimum(values: Floats) -> Floats:
    """Smallest value, shape (runs,) or (); NaN where there is none."""
    return np.asarray(np.fmin.reduce(values, axis=0))


def maximum(values: Floats) -> Floats:
    """Largest value, shape (runs,) or (); NaN where there is none."""
    return np.asarray(np.fmax.reduce(values, axis=0))


def scores(columns: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Score runs by their columns (`train/reward`, ...), each of shape (steps,) or (steps, runs).

    The scores have shape () or (runs,): `reward_last_tenth`, `reward_mean`, `regret_total`, `regret_last_tenth` (mean a
    step), `optimal_last_tenth` (share of optimal actions, 0 to 1), `lr_first`, `lr_last`, `lr_min`, `lr_max`,
    `return_last`, `return_best` (of the mean over the last 100 episodes), `eval_return_last`, `eval_return_best`; those
    whose column is not there are left out.
    """
    by_name: dict[str, Floats] = {}

    def column(name: str) -> Floats | None:
        values = columns.get(name)
        array = None if values is None else np.asarray(values, np.float64)
        return array if array is not None and len(array) else None

    if (reward := column("train/reward")) is not None:
        by_name["reward_last_tenth"] = mean(last_tenth(reward))
        by_name["reward_mean"] = mean(reward)
    if (regret := column("train/regret")) is not None:
        by_name["regret_total"] = total(regret)
        by_name["regret_last_tenth"] = mean(last_tenth(regret))
    if (optimal := column("train/optimal")) is not None:
        by_name["optimal_last_tenth"] = mean(last_tenth(optimal))
    if (lr := column("train/lr")) is not None:
        by_name |= {"lr_first": first(lr), "lr_last": last(lr), "lr_min": minimum(lr), "lr_max": maximum(lr)}
    if (episodes := column("rollout/ep_rew_mean")) is not None:
        by_name |= {"return_last": last(episodes), "return_best": maximum(episodes)}
    if (returns := column("eval/return")) is not None:
        by_name |= {"eval_return_last": last(returns), "eval_return_best": maximum(returns)}
    return by_name
