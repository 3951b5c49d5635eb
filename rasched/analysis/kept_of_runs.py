"""What the rules of a sweep over base rates keep of the tuned score, read from the records of its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rasched.analysis.compare import CONSTANT_RATE
from rasched.analysis.kept import iqm_of_last_axis, kept
from rasched.analysis.load import Results
from rasched.analysis.score_choice import choose_score
from rasched.analysis.variants import Variant, find_variants, label, parse_overrides
from rasched.errors import UsageError

AREAS = ("train/regret", "rollout/ep_rew_mean", "train/reward")  # the first that all runs have
BASE_RATE = "optimizer.lr"
_PROBLEM = ("env", "agent", "steps", "preset")
_Score = tuple[str, str, float, int, float]  # task, method, base rate, seed, score


@dataclass(frozen=True)
class KeptOfRuns:
    """``table`` is that of :func:`rasched.analysis.kept.kept`; ``notes`` are sentences about how it came about."""

    table: pl.DataFrame
    description: str  # of the score
    notes: tuple[str, ...]


def kept_of_runs(
    results: Results, metric: str | None = None, baseline: str | None = None, chance: float | None = None
) -> KeptOfRuns:
    """Return which part of the tuned score each variant of the finished runs keeps over their base rates.

    Args:
        results: Runs that differ in ``optimizer.lr``, with the same seeds at each base rate.
        metric: As in :meth:`Results.compare`. By default the mean over the run, which is the area under the curve per
            row, of the first of ``AREAS`` that all runs have.
        baseline: Overrides that mark the constant rate, by default ``rule=none``.
        chance: The value of the metric for a policy that has learnt nothing. By default the mean of the column over the
            first twentieth of the runs with the lowest base rate, which change least at their start.

    Raises:
        UsageError: Nothing can be compared, or a name is unknown.

    """
    done = [run for run in results if run.status == "done"]
    if metric is None:
        metric = _default_metric(results)
    choice = choose_score(metric, [run.scores for run in done])
    notes = []
    if chance is None:
        if choice.column is None:
            raise UsageError(f"--kept with --metric {metric} needs --chance, the value of a policy without learning")
        chance = _chance_level(results, choice.column)
        notes.append(
            f"The chance level {chance:.4g} is the mean over the first twentieth of the runs with the lowest base rate;"
            " --chance sets another."
        )
    sign = 1.0 if choice.higher_is_better else -1.0
    values = results.score_of_runs(metric)
    variants = find_variants(list(results)).of_runs
    rows = [
        (*_names(variants[index]), results[index].seed or 0, sign * (value - chance)) for index, value in values.items()
    ]
    frame, dropped = _complete(rows)
    notes += dropped
    reference = _reference(frame, baseline)
    table = kept(frame, reference)
    return KeptOfRuns(table, choice.description, (*notes, *_best_constants(frame, table, reference)))


def _default_metric(results: Results) -> str:
    for column in AREAS:
        try:
            if len(results.score_of_runs(f"{column}:mean")) == sum(run.status == "done" for run in results):
                return f"{column}:mean"
        except UsageError:  # no run has the column
            continue
    raise UsageError(f"--kept needs runs with one of the columns {', '.join(AREAS)}; name another with --metric")


def _chance_level(results: Results, column: str) -> float:
    variants = [dict(variant) for variant in find_variants(list(results)).of_runs]
    rates = {index: variant.get(BASE_RATE) for index, variant in enumerate(variants)}
    lowest = min((lr for lr in rates.values() if isinstance(lr, (int, float))), default=None)
    chosen = [index for index, lr in rates.items() if lr == lowest]
    value = pl.col(column).drop_nulls()
    rows = results.metrics(column).filter(pl.col("run").is_in(chosen)).group_by("run")
    firsts = rows.agg(value.head((value.len() / 20).ceil().cast(pl.Int64)).mean()).collect()[column]
    mean = firsts.mean()
    assert isinstance(mean, float)  # there are such runs: their scores were found before
    return mean


def _names(variant: Variant) -> tuple[str, str, float]:
    """Return task, method and base rate of a variant."""
    own = dict(variant)
    lr = own.pop(BASE_RATE, None)
    if not isinstance(lr, (int, float)):
        raise UsageError("--kept needs several base rates, as in optimizer.lr=logspace(1e-4,1,5)")
    task = {key: value for key, value in own.items() if key.partition(".")[0] in _PROBLEM}
    method = {key: value for key, value in own.items() if key not in task}
    return label(task) if task else "", label(method), float(lr)


def _complete(rows: Sequence[_Score]) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows of the seeds that a task has at each rate of each method, and a sentence about the others."""
    unique: dict[tuple[str, str, float, int], float] = {}
    for task, method, lr, seed, score in rows:
        unique.setdefault((task, method, lr, seed), score)
    seeds: dict[str, dict[tuple[str, float], set[int]]] = defaultdict(lambda: defaultdict(set))
    for task, method, lr, seed in unique:
        seeds[task][method, lr].add(seed)
    common = {task: set.intersection(*groups.values()) for task, groups in seeds.items()}
    for task, of_task in common.items():
        if not of_task:
            raise UsageError(
                f"--kept needs the same seeds at each base rate of each rule{task and f', {task} has none'}"
            )
    complete = [(*key, score) for key, score in unique.items() if key[3] in common[key[0]]]
    left_out = len(unique) - len(complete)
    notes = [f"{left_out} runs are left out: their seeds are missing at another base rate."] if left_out else []
    return pl.DataFrame(complete, schema=["task", "method", "lr", "seed", "score"], orient="row"), notes


def _reference(frame: pl.DataFrame, baseline: str | None) -> str:
    """Return the method that has the overrides of the constant rate."""
    marks = dict(CONSTANT_RATE) if baseline is None else parse_overrides(baseline.replace(",", " ").split())
    methods = frame["method"].unique(maintain_order=True).to_list()
    marked = [name for name in methods if _has(parse_overrides(name.split()), marks)]
    if len(marked) != 1:
        raise UsageError(
            f"--kept needs one variant with {label(marks)}, found {len(marked)} among {', '.join(methods)}:"
            " name it with --baseline"
        )
    return str(marked[0])


def _has(own: Mapping[str, object], marks: Mapping[str, object]) -> bool:
    return all(key in own and own[key] == value for key, value in marks.items())


def _best_constants(frame: pl.DataFrame, table: pl.DataFrame, reference: str) -> list[str]:
    """Return a sentence per task about the best constant rate, and one if the grid ends there."""
    sentences = []
    for row in table.filter(pl.col("method") == reference).iter_rows(named=True):
        of_task = frame.filter((pl.col("task") == row["task"]) & (pl.col("method") == reference))
        rates = of_task["lr"].unique().sort().to_list()
        place = f" of {row['task']}" if row["task"] else ""
        sentences.append(
            f"The best constant rate{place} is {row['best_lr']:g}: {row['best_score']:.4g} better than chance"
            f" (interquartile mean over {row['num_seeds']} seeds)."
        )
        if row["best_lr"] in (rates[0], rates[-1]):
            sentences.append("It is at the edge of the grid, so all values of kept are too high: try further rates.")
        if not _is_above_chance(of_task.filter(pl.col("lr") == row["best_lr"])):
            sentences.append("Its scores cannot be told from chance, so kept means nothing here.")
    return sentences


def _is_above_chance(best: pl.DataFrame) -> bool:
    scores = best["score"].to_numpy()
    draws = np.random.default_rng(0).integers(len(scores), size=(1_000, len(scores)))
    return bool(np.quantile(iqm_of_last_axis(scores[draws]), 0.025) > 0)
