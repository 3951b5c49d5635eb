"""The number that runs are compared by: a score of ``run.json``, or a statistic of a column of the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rasched.errors import UsageError
from rasched.records.primary_score import PRIMARY_SCORES
from rasched.validation import did_you_mean

DESCRIPTIONS = {
    **PRIMARY_SCORES,
    "reward_mean": "mean reward of the run",
    "regret_total": "total regret",
    "regret_last_tenth": "regret per step in the last tenth",
    "optimal_last_tenth": "share of optimal actions in the last tenth",
    "return_best": "best mean return over 100 episodes",
    "eval_return_best": "return of the best evaluation",
}
STATISTICS = {
    "last_tenth": "mean of {} over the last tenth",
    "mean": "mean of {} over the run",
    "area": "area under {}",
    "first": "first value of {}",
    "last": "last value of {}",
    "min": "smallest value of {}",
    "max": "largest value of {}",
    "steps_to": "steps until {} reaches {}",
}
_LOWER_IS_BETTER = ("regret", "train/regret", "train/loss", "loss")
_WINDOW = 50  # a threshold is reached by the running mean over this part of the rows, not by one lucky step


@dataclass(frozen=True)
class ScoreChoice:
    """What runs are compared by. ``column`` is None if it is the score ``name`` of ``run.json``."""

    name: str
    description: str
    higher_is_better: bool
    column: str | None = None
    statistic: str = "last_tenth"
    threshold: float | None = None


def choose_score(name: str | None, scores: Sequence[Mapping[str, float]]) -> ScoreChoice:
    """Return what to compare runs by.

    Args:
        name: A score such as ``regret_total``, a column such as ``train/reward``, or a column and a statistic of it
            such as ``train/reward:area`` and ``train/reward:steps_to=0.9``. None is the first of ``PRIMARY_SCORES``
            that all runs have, else the first that any has.
        scores: The scores of the runs.

    Raises:
        UsageError: The name is no score of these runs and no column with a known statistic.

    """
    known = list(dict.fromkeys(key for own in scores for key in own))
    if name is None:
        return _primary(scores)
    if "/" in name:
        return _of_column(name)
    if name not in known:
        raise UsageError(
            f"--metric {name} is no score of these runs; scores: {', '.join(known) or 'none'}"
            f"{did_you_mean(name, known)}; a column of the metrics is named like train/reward or train/reward:area"
        )
    return ScoreChoice(name, DESCRIPTIONS.get(name, name), not name.startswith(_LOWER_IS_BETTER))


def best_index(scores: Sequence[Mapping[str, float]]) -> int | None:
    """Return the index of the best run by the score that runs are compared by; None if none has a score."""
    try:
        name = _primary(scores).name
    except UsageError:
        return None
    having = [index for index, own in enumerate(scores) if name in own]
    return max(having, key=lambda index: scores[index][name])


def column_scores(choice: ScoreChoice, metrics: pl.LazyFrame) -> dict[int, float]:
    """Return the statistic of a column for each run that has it, by the run's index.

    ``metrics`` has the columns ``run``, ``step`` and the one that is compared. A run that never reaches a threshold
    counts with its last step.
    """
    assert choice.column is not None
    rows = metrics.select("run", "step", pl.col(choice.column).alias("value")).sort("run", "step")
    if choice.statistic != "last_tenth":  # which counts rows without a value too, as the scores of run.json do
        rows = rows.filter(pl.col("value").is_not_null())
    value = _steps_to(choice) if choice.statistic == "steps_to" else _EXPRESSIONS[choice.statistic]()
    table = rows.group_by("run").agg(value.cast(pl.Float64).alias("score")).collect()
    return {run: score for run, score in table.iter_rows() if score is not None}


def _primary(scores: Sequence[Mapping[str, float]]) -> ScoreChoice:
    names = [name for name in PRIMARY_SCORES if scores and all(name in own for own in scores)]
    names += [name for name in PRIMARY_SCORES if any(name in own for own in scores)]
    if not names:
        raise UsageError("no run has a score yet: none is done, or none recorded a reward")
    return ScoreChoice(names[0], PRIMARY_SCORES[names[0]], True)


def _of_column(name: str) -> ScoreChoice:
    column, _, statistic = name.partition(":")
    statistic, _, threshold = (statistic or "last_tenth").partition("=")
    if statistic not in STATISTICS:
        raise UsageError(
            f"--metric {name}: {statistic!r} is no statistic of a column; known: {', '.join(STATISTICS)}"
            f"{did_you_mean(statistic, STATISTICS)}"
        )
    if (statistic == "steps_to") != bool(threshold):
        raise UsageError(f"--metric {name}: steps_to, and only it, takes a threshold, as in {column}:steps_to=0.9")
    try:
        level = float(threshold) if threshold else None
    except ValueError as error:
        raise UsageError(f"--metric {name}: the threshold must be a number, got {threshold!r}") from error
    higher = statistic != "steps_to" and not column.startswith(_LOWER_IS_BETTER)
    return ScoreChoice(name, STATISTICS[statistic].format(column, threshold), higher, column, statistic, level)


def _last_tenth() -> pl.Expr:
    value = pl.col("value")
    end = (
        pl.int_range(pl.len()).filter(value.is_not_null()).max().fill_null(-1) + 1
    )  # an unfinished run has no value at its end
    return value.slice(0, end).tail((end / 10).ceil().cast(pl.Int64)).mean()


def _area() -> pl.Expr:
    value, step = pl.col("value"), pl.col("step")
    return (step.diff() * (value + value.shift()) / 2).sum()  # trapezoids


_EXPRESSIONS: Mapping[str, Callable[[], pl.Expr]] = {
    "last_tenth": _last_tenth,
    "area": _area,
    "mean": lambda: pl.col("value").mean(),
    "first": lambda: pl.col("value").first(),
    "last": lambda: pl.col("value").last(),
    "min": lambda: pl.col("value").min(),
    "max": lambda: pl.col("value").max(),
}


def _steps_to(choice: ScoreChoice) -> pl.Expr:
    assert choice.threshold is not None and choice.column is not None
    count = pl.len()
    window = (count / _WINDOW).ceil().cast(pl.Int64)
    summed = pl.col("value").cum_sum()
    behind = summed.shift(1, fill_value=0.0)
    # a running mean of the last `window` rows; polars' own takes no window that depends on the group
    row = pl.int_range(count)
    start = pl.max_horizontal(row - window + 1, 0)
    running = (summed - behind.gather(start)) / (row - start + 1)
    falling = choice.column.startswith(_LOWER_IS_BETTER)
    reached = running <= choice.threshold if falling else running >= choice.threshold
    reached = reached & (row >= window - 1)
    return pl.when(reached.any()).then(pl.col("step").get(reached.arg_max())).otherwise(pl.col("step").last())
