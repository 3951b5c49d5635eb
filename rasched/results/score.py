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
    return np.where((rows >= ends - np.ceil(ends / 10)) & (rows < ends), values, np.nan)


def mean(values: Floats) -> Floats:
    """Mean over steps of the values that are there, shape (runs,) or (); NaN where there is none."""
    count = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def total(values: Floats) -> Floats:
    """Sum over steps, shape (runs,) or (); NaN where there is no value at all."""
    return np.where(_ends(values) > 0, np.nansum(values, axis=0), np.nan)


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


def lowest(values: Floats) -> Floats:
    """Smallest value, shape (runs,) or (); NaN where there is none."""
    return _finite_or_nan(np.fmin.reduce(values, axis=0))


def highest(values: Floats) -> Floats:
    """Largest value, shape (runs,) or (); NaN where there is none."""
    return _finite_or_nan(np.fmax.reduce(values, axis=0))


def _finite_or_nan(values: Floats) -> Floats:
    return np.asarray(values, np.float64)


def scores(columns: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Score runs by their columns (`train/reward`, ...), each of shape (steps,) or (steps, runs).

    Returns:
        Name to an array of shape () or (runs,). Only scores whose column is there: `reward_last_tenth`,
        `reward_mean`, `regret_total`, `regret_last_tenth` (mean a step), `optimal_last_tenth` (share of optimal actions,
        0 to 1), `lr_first`, `lr_last`, `lr_min`, `lr_max`, `eval_return_last`, `eval_return_best`.
    """
    found: dict[str, Floats] = {}

    def column(name: str) -> Floats | None:
        values = columns.get(name)
        array = None if values is None else np.asarray(values, np.float64)
        return array if array is not None and len(array) else None

    if (reward := column("train/reward")) is not None:
        found["reward_last_tenth"] = mean(last_tenth(reward))
        found["reward_mean"] = mean(reward)
    if (regret := column("train/regret")) is not None:
        found["regret_total"] = total(regret)
        found["regret_last_tenth"] = mean(last_tenth(regret))
    if (optimal := column("train/optimal")) is not None:
        found["optimal_last_tenth"] = mean(last_tenth(optimal))
    if (lr := column("train/lr")) is not None:
        found |= {"lr_first": first(lr), "lr_last": last(lr), "lr_min": lowest(lr), "lr_max": highest(lr)}
    if (returns := column("eval/return")) is not None:
        found |= {"eval_return_last": last(returns), "eval_return_best": highest(returns)}
    return found


def iqm(values: ArrayLike) -> float:
    """Interquartile mean: the mean of the middle half of the values of shape (runs,), NaN ones left out.

    Less moved by one lucky or broken seed than the mean, less noisy than the median. Where a quarter of the runs is not
    a whole number, the values at the borders count by the part of them that is inside.
    """
    ordered = np.sort(_present(values))
    if not len(ordered):
        return float("nan")
    rank = np.arange(len(ordered))
    lo, hi = len(ordered) / 4, 3 * len(ordered) / 4
    weight = np.clip(np.minimum(rank + 1, hi) - np.maximum(rank, lo), 0, None)
    return float(weight @ ordered / weight.sum())


def interval(
    values: ArrayLike, statistic: str = "mean", confidence: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean (or ``"iqm"``) over runs.

    Args:
        values: shape (runs,); NaN ones are left out.
        statistic: `"mean"` or `"iqm"`.
        confidence: share of such intervals that hold the true value, in (0, 1).
        resamples: how many times the runs are drawn anew.
        seed: of the draws: the same values give the same interval.

    Returns:
        (low, high); both equal the value where there is one run only, NaN where there is none. With few runs (under 10)
        the percentile interval is too narrow: at five runs it holds the mean in some 85 of 100 cases instead of 95.
    """
    if statistic not in ("mean", "iqm"):
        raise ValueError(f"statistic must be 'mean' or 'iqm', got {statistic!r}")
    present = np.sort(_present(values))
    count = len(present)
    if count == 0:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
    drawn = present[draws]
    if statistic == "iqm":
        drawn.sort(axis=1)
        centres = np.array([iqm(row) for row in drawn])
    else:
        centres = drawn.mean(axis=1)
    low, high = np.quantile(centres, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _present(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64).ravel()
    return array[~np.isnan(array)]
