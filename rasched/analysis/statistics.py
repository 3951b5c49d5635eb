"""Statistics of scores over seeds: pure functions of arrays, with the definitions of Agarwal et al. (2021).

R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. G. Bellemare, *Deep reinforcement learning at the edge of
the statistical precipice*, NeurIPS 2021. A *stratum* is a set of runs that differ in nothing but their seed, such as
the runs of one task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ALPHA = 0.05  # the error probability that a claim is allowed
POWER = 0.8  # the probability with which the proposed number of seeds shows a difference that is there
MAX_RESAMPLES = 10_000
_MAX_DRAWS = 20_000_000  # numbers drawn for one interval: 0.3 s
_TRIM = 0.25
_EXACT_PAIRS = 100  # pairs whose rank sums are counted exactly: 2 ms


@dataclass(frozen=True)
class PairedDifference:
    """How a variant's scores differ from the baseline's with the same seeds.

    ``difference`` is the mean of score minus baseline score over the pairs and (``low``, ``high``) its 95 % interval.
    ``p`` is the two-sided p-value of the Wilcoxon signed-rank test.
    """

    difference: float
    low: float
    high: float
    wins: int
    pairs: int
    p: float


def iqm(values: ArrayLike) -> float:
    """Return the interquartile mean, the mean of the middle half.

    A quarter of the values, rounded down, is left out at each end. NaN is left out first; no value gives NaN.
    """
    present = _present(values)
    return float(_iqm_of_rows(present[None])[0]) if len(present) else math.nan


def bootstrap_ci(
    values: ArrayLike,
    statistic: str = "mean",
    strata: ArrayLike | None = None,
    confidence: float = 0.95,
    num_resamples: int | None = None,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile interval (low, high) by the stratified bootstrap.

    NaN values are left out. A single value is its own interval. No value, or one that is infinite, gives NaN. The same
    values give the same interval, whatever their order. The interval is too narrow if runs are few: of 100 intervals of
    the mean of normal values, 75 hold the true one at three runs, 84 at five, 90 at ten and 93 at twenty, not 95.

    Args:
        values: Scores of shape ``(num_runs,)``.
        statistic: ``"mean"`` or ``"iqm"``. Any other is a ValueError.
        strata: Labels of shape ``(num_runs,)``. Runs are resampled within a stratum, so each keeps its number of runs.
        confidence: The part of such intervals that hold the true value, given enough runs.
        num_resamples: By default 10,000, and fewer from 2,000 runs on.
        seed: The seed of the draws.

    """
    if statistic not in ("mean", "iqm"):
        raise ValueError(f"statistic must be 'mean' or 'iqm', got {statistic!r}")
    present, sizes = _sorted_by_stratum(values, strata)
    count = len(present)
    if count == 0 or not np.isfinite(present).all():
        return math.nan, math.nan
    if count == 1:
        return float(present[0]), float(present[0])
    num_resamples = num_resamples or min(MAX_RESAMPLES, max(1_000, _MAX_DRAWS // count))
    estimates = np.concatenate(
        [
            drawn.mean(axis=1) if statistic == "mean" else _iqm_of_rows(drawn)
            for drawn in (present[indices] for indices in _draws(sizes, num_resamples, seed))
        ]
    )
    low, high = np.quantile(estimates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_difference(
    values: ArrayLike, baseline: ArrayLike, strata: ArrayLike | None = None, higher_is_better: bool = True
) -> PairedDifference:
    """Compare scores with the baseline's of the same seeds, all of shape ``(num_pairs,)``.

    A pair with a NaN is left out; a ValueError says that no pair is left.
    """
    differences = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    present = ~np.isnan(differences)
    if not present.any():
        raise ValueError("no pair of runs has a score on both sides")
    labels = None if strata is None else np.asarray(strata)[present]
    differences = differences[present]
    low, high = bootstrap_ci(differences, "mean", labels)
    wins = int((differences > 0).sum() if higher_is_better else (differences < 0).sum())
    return PairedDifference(float(differences.mean()), low, high, wins, len(differences), signed_rank_p(differences))


def signed_rank_p(differences: ArrayLike) -> float:
    """Return the two-sided p-value of the Wilcoxon signed-rank test; 1 if all differences are zero.

    Zero differences are left out. It is exact, with ties too, up to 100 differences, and the normal approximation
    above. Importing SciPy's test takes a second, a sixth of a sweep of 400 runs; the tests hold this one against it.
    """
    array = _present(differences)
    different = array[array != 0]
    if not len(different):
        return 1.0
    _, tied, counts = np.unique(np.abs(different), return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(counts) - counts + 1)[tied]  # twice the mean ranks, which are whole numbers
    signed_sum = abs(int(np.sign(different) @ ranks))
    if len(ranks) > _EXACT_PAIRS:
        return math.erfc(signed_sum / math.sqrt(2 * float(ranks @ ranks)))
    probability = np.zeros(int(ranks.sum()) + 1)  # of each sum of the ranks with a positive sign
    probability[0] = 1.0
    for rank in ranks:
        probability[rank:] += probability[:-rank]  # the right side is copied first
        probability /= 2
    sums = 2 * np.arange(len(probability)) - int(ranks.sum())
    return float(probability[np.abs(sums) >= signed_sum].sum())


def probability_of_improvement(
    values: ArrayLike,
    baseline: ArrayLike,
    strata: ArrayLike | None = None,
    baseline_strata: ArrayLike | None = None,
    higher_is_better: bool = True,
) -> float:
    """Return the probability that a random run is better than a random run of the baseline.

    A tie counts half. Over several strata it is the mean of the probabilities within each, as in Agarwal et al.
    NaN is left out; NaN is returned if no stratum has runs on both sides.

    Args:
        values: Scores of shape ``(num_runs,)``.
        baseline: Scores of shape ``(num_baseline_runs,)``; seeds need not match.
        strata: Labels of shape ``(num_runs,)``.
        baseline_strata: Labels of shape ``(num_baseline_runs,)``.
        higher_is_better: False for scores such as regret.

    """
    ours, theirs = _by_stratum(values, strata), _by_stratum(baseline, baseline_strata)
    parts = [_part_above(ours[label], theirs[label]) for label in ours if label in theirs]
    if not parts:
        return math.nan
    probability = float(np.mean(parts))
    return probability if higher_is_better else 1 - probability


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values of shape ``(num_tests,)`` adjusted by Holm's method.

    A claim stays, with an error probability of 5 % for all claims together, if its adjusted value is below 0.05.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    result = np.empty(len(p))
    result[order] = np.minimum(adjusted, 1)
    return result


def num_seeds_needed(differences: ArrayLike, num_tests: int = 1) -> int | None:
    """Return how many seeds would show a mean difference of this size, if it is real; None if it is zero.

    With so many pairs, a two-sided test at 5 % divided by ``num_tests`` (the strictest step of Holm's method) finds the
    difference with a probability of 80 %. The normal approximation is used, and never fewer pairs than a signed-rank
    test needs to reach that level at all.

    Args:
        differences: Paired differences of shape ``(num_pairs,)``, at least two.
        num_tests: How many variants are compared with the baseline.

    """
    array = _present(differences)
    level = ALPHA / num_tests
    least = fewest_pairs(num_tests)
    if len(array) < 2 or not array.mean():
        return None
    normal = NormalDist()
    effect = float(abs(array.mean()) / max(array.std(ddof=1), 1e-300))
    return max(least, math.ceil(((normal.inv_cdf(1 - level / 2) + normal.inv_cdf(POWER)) / effect) ** 2))


def fewest_pairs(num_tests: int = 1) -> int:
    """Return the number of pairs below which a signed-rank test cannot reach 5 % divided by ``num_tests``."""
    return 1 + math.ceil(math.log2(num_tests / ALPHA))


def performance_profile(values: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Return the part of the runs whose score is above each threshold, of the shape of ``thresholds``."""
    ordered = np.sort(_present(values))
    above: Floats = 1 - np.searchsorted(ordered, np.asarray(thresholds, np.float64), side="right") / len(ordered)
    return above


def _iqm_of_rows(rows: Floats) -> Floats:
    count = rows.shape[1]
    cut = int(_TRIM * count)
    middle = np.partition(rows, (cut, count - cut - 1), axis=1)[:, cut : count - cut] if cut else rows
    means: Floats = middle.mean(axis=1)
    return means


@lru_cache(maxsize=4)
def _draws(sizes: tuple[int, ...], num_resamples: int, seed: int) -> Sequence[NDArray[np.intp]]:
    """Draw indices in chunks of shape ``(chunk, sum(sizes))``; variants of the same size share them."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *sizes[:-1]])
    chunk = max(1, 2_000_000 // sum(sizes))
    chunks = []
    for first in range(0, num_resamples, chunk):
        rows = min(chunk, num_resamples - first)
        parts = [start + rng.integers(size, size=(rows, size)) for start, size in zip(starts, sizes, strict=True)]
        chunks.append(np.concatenate(parts, axis=1))
    return chunks


def _sorted_by_stratum(values: ArrayLike, strata: ArrayLike | None) -> tuple[Floats, tuple[int, ...]]:
    groups = [np.sort(group) for group in _by_stratum(values, strata).values()]
    return (np.concatenate(groups) if groups else np.empty(0)), tuple(map(len, groups))


def _by_stratum(values: ArrayLike, strata: ArrayLike | None) -> dict[object, Floats]:
    array = np.asarray(values, np.float64).ravel()
    labels = np.zeros(len(array), int) if strata is None else np.asarray(strata)
    present = ~np.isnan(array)
    return {label: array[present & (labels == label)] for label in np.unique(labels[present]).tolist()}


def _part_above(ours: Floats, theirs: Floats) -> float:
    ordered = np.sort(theirs)
    below = np.searchsorted(ordered, ours, "left") + np.searchsorted(ordered, ours, "right")
    return float(below.mean() / (2 * len(ordered)))


def _present(values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64).ravel()
    return array[~np.isnan(array)]
