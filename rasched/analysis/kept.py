"""How much of the tuned score a method keeps if its base learning rate is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
COLUMNS = ("task", "method", "lr", "seed", "score")
SPLITS = {  # by the factor between a base rate and the best constant one
    "tuned": (1 / 2.1, 2.1),
    "near": (1 / 9.9, 9.9),
    "low": (-1.0, 1 / 9.9),
    "high": (9.9, np.inf),
}
NUM_RESAMPLES = 1_000


def kept(scores: pl.DataFrame, reference: str = "constant") -> pl.DataFrame:
    """Return the part of the tuned score that each method keeps over a grid of base learning rates.

    A method's score at a base rate is the interquartile mean over its seeds. *Kept* is the mean of these scores over
    the rates that all methods share, divided by the score of the best constant rate, for which all rates of the
    reference count. 1 means that the base rate does not matter; the grid must contain the best constant rate, or all
    values are too high.

    Args:
        scores: One row per run with the columns ``task``, ``method``, ``lr``, ``seed`` and ``score``. A score is 0 at
            chance level and grows with the quality of a run.
        reference: The method whose rate is constant.

    Returns:
        One row per task and method. ``kept`` has a 95 % interval (``kept_low``, ``kept_high``) by the bootstrap over
        seeds, which are drawn together for all rates and the reference. ``difference`` is kept minus the reference's
        kept, with such an interval. ``tuned``, ``near``, ``low`` and ``high`` are means over the base rates that are
        within a factor 2 of the best constant one, within a factor 10 but not 2, and ten times or more below or above
        it; NaN if there is none. ``best_lr`` and ``best_score`` are those of the best constant rate.

    Raises:
        ValueError: A column is missing, or a task has no run of the reference.

    """
    missing = [name for name in COLUMNS if name not in scores.columns]
    if missing:
        raise ValueError(f"scores must have the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing")
    rows = []
    for (task,), of_task in scores.group_by("task", maintain_order=True):
        grids = {method: _by_rate(group) for (method,), group in of_task.group_by("method", maintain_order=True)}
        if reference not in grids:
            raise ValueError(f"task {task!r} has no run of the reference {reference!r}: name the constant one")
        rows += [{"task": task, **row} for row in _of_task(grids, reference)]
    return pl.DataFrame(rows)


def _by_rate(group: pl.DataFrame) -> dict[float, Floats]:
    """Return the scores ``(num_seeds,)`` of each base rate, in the order of the seeds."""
    parts = group.sort("lr", "seed").group_by("lr", maintain_order=True)
    return {float(str(lr)): part["score"].to_numpy() for (lr,), part in parts}


def _of_task(grids: Mapping[object, dict[float, Floats]], reference: str) -> list[dict[str, object]]:
    constant = grids[reference]
    best_lr = max(constant, key=lambda lr: float(iqm_of_last_axis(constant[lr])))
    shared = sorted(set.intersection(*(set(grid) for grid in grids.values())))
    if not shared:
        raise ValueError("the methods of a task share no base rate")
    factors = np.array(shared) / best_lr
    num_seeds = len(constant[best_lr])
    draws = np.random.default_rng(0).integers(num_seeds, size=(NUM_RESAMPLES, num_seeds))
    best, resampled_best = (iqm_of_last_axis(constant[best_lr][index]) for index in (slice(None), draws))
    resampled_reference: Floats | float = 0.0
    rows: list[dict[str, object]] = []
    for method in sorted(grids, key=lambda name: name != reference):  # the reference first, for the differences
        scores = np.stack([grids[method][lr] for lr in shared])  # (num_rates, num_seeds)
        by_rate = iqm_of_last_axis(scores) / best
        resampled = iqm_of_last_axis(scores[:, draws]).mean(0) / resampled_best
        if method == reference:
            resampled_reference, reference_kept = resampled, float(by_rate.mean())
        low, high = np.quantile(resampled, [0.025, 0.975])
        worse, better = np.quantile(resampled - resampled_reference, [0.025, 0.975])
        rows.append(
            {
                "method": method,
                "kept": float(by_rate.mean()),
                "kept_low": float(low),
                "kept_high": float(high),
                "difference": float(by_rate.mean()) - reference_kept,
                "difference_low": float(worse),
                "difference_high": float(better),
                **_splits(by_rate, factors),
                "best_lr": best_lr,
                "best_score": float(best),
                "num_rates": len(shared),
                "num_seeds": num_seeds,
            }
        )
    return rows


def _splits(by_rate: Floats, factors: Floats) -> dict[str, float]:
    values = {}
    for name, (low, high) in SPLITS.items():
        chosen = (factors > low) & (factors < high)
        if name == "near":
            chosen &= ~((factors > SPLITS["tuned"][0]) & (factors < SPLITS["tuned"][1]))
        values[name] = float(by_rate[chosen].mean()) if chosen.any() else float("nan")
    return values


def iqm_of_last_axis(values: Floats) -> Floats:
    """Return interquartile means over the last axis; a quarter, rounded down, is left out at each end."""
    count = values.shape[-1]
    cut = count // 4
    middle: Floats = np.sort(values, axis=-1)[..., cut : count - cut].mean(-1)
    return middle


def kept_table(scores: pl.DataFrame, reference: str = "constant") -> str:
    """Return what each method keeps as a Markdown table.

    One row per method: kept with its interval for each task, then the means over the tasks of kept and of its splits.
    A method without a task has a dash there, and its means are over fewer tasks. ``scores`` is as in :func:`kept`.
    """
    table = kept(scores, reference)
    tasks = table["task"].unique(maintain_order=True).to_list()
    methods = scores["method"].unique(maintain_order=True).to_list()
    columns = ["method", *tasks, "mean", *SPLITS]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]
    for method in methods:
        of_method = table.filter(pl.col("method") == method)
        cells = [_cell(of_method.filter(pl.col("task") == task)) for task in tasks]
        means = [of_method["kept"].mean(), *(of_method[name].fill_nan(None).mean() for name in SPLITS)]
        lines.append(f"| {' | '.join([method, *cells, *map(_number, means)])} |")
    return "\n".join(lines)


def _cell(row: pl.DataFrame) -> str:
    if row.is_empty():
        return "-"
    return f"{_number(row['kept'][0])} [{_number(row['kept_low'][0])}, {_number(row['kept_high'][0])}]"


def _number(value: object) -> str:
    """Return two decimals without the zero in front, as in .92 or -.05."""
    if value is None:
        return "-"
    return f"{float(value):.2f}".replace("0.", ".", 1) if abs(float(value)) < 1 else f"{float(value):.2f}"  # type: ignore[arg-type]
