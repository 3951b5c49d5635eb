"""The cells of a comparison as text: what the table of the terminal and that of a report show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rasched.analysis.compare import Comparison, VariantRow
from rasched.analysis.statistics import ALPHA
from rasched.analysis.variants import Value, format_value, label

INTERVAL = "95% CI"  # with a space at its end it is the interval of the difference


def comparison_title(comparison: Comparison) -> str:
    """Return what is compared, in half a sentence."""
    same = any(row.vs_baseline and len(row.variant) > len(comparison.marks) for row in comparison.rows)
    versus = f"; difference from {label(comparison.marks)}{' at the same other settings' * same}, paired by seed"
    direction = "" if comparison.choice.higher_is_better else " (lower is better)"
    return f"{comparison.choice.description}{direction}{versus * (comparison.num_tests > 0)}"


def variant_columns(rows: Sequence[VariantRow]) -> dict[str, list[str]]:
    """Return a column per override that differs, with one cell per variant."""
    keys = list(dict.fromkeys(key for row in rows for key in row.variant))
    if not keys:
        return {"variant": ["all runs"] * len(rows)}
    columns = {
        name: [format_value(row.variant[key]) if key in row.variant else "" for row in rows]
        for name, key in zip(_short_names(keys), keys, strict=True)
    }
    first = columns[next(iter(columns))]
    first[:] = [cell if row.variant else "all runs" for cell, row in zip(first, rows, strict=True)]
    return columns


def score_columns(rows: Sequence[VariantRow], wide: bool) -> dict[str, list[str]]:
    """Return the columns of the scores; ``wide`` adds the mean."""
    places = _decimals([row.high - row.low for row in rows], 0.5)
    columns = {"runs": [str(row.runs) for row in rows], "IQM": [_fixed(row.iqm, places) for row in rows]}
    if wide:
        columns["mean"] = [_fixed(row.mean, places) for row in rows]
    intervals = [_interval(row.low, row.high, places) if row.runs > 1 else "" for row in rows]
    return columns | {INTERVAL: intervals}


def difference_columns(rows: Sequence[VariantRow], marks: Mapping[str, Value], wide: bool) -> dict[str, list[str]]:
    """Return the columns of the differences from the baseline; ``wide`` adds the probability of improvement."""
    differences = [row.vs_baseline for row in rows]
    places = _decimals([one.high - one.low for one in differences if one], 0.25)
    columns = {
        f"vs {label(marks)}": ["" if one is None else _fixed(one.difference, places, "+") for one in differences],
        f"{INTERVAL} ": [_interval(one.low, one.high, places) if one and one.pairs > 1 else "" for one in differences],
        "wins": ["" if one is None else f"{one.wins}/{one.pairs}" for one in differences],
    }
    if wide:
        columns["P(better)"] = ["" if one is None else f"{one.probability_of_improvement:.2f}" for one in differences]
    stars = ["" if one is None else f"{one.p_holm:.2g}{'*' * (one.p_holm < ALPHA)}" for one in differences]
    return columns | {"p Holm": stars}


def _decimals(widths: Sequence[float], quantile: float) -> int | None:
    """Return the decimals that a column shows: two digits of its intervals; None for numbers of any size."""
    known = sorted(width for width in widths if math.isfinite(width) and width > 0)
    if not known:
        return None
    places = 1 - math.floor(math.log10(known[int(quantile * (len(known) - 1))]))
    return max(0, places) if places <= 6 else None


def _fixed(value: float, places: int | None, sign: str = "-") -> str:
    if places is None or abs(value) >= 1e6:
        return f"{value:{sign}.4g}"
    return f"{round(value, places) + 0.0:{sign}.{places}f}"  # adding 0 makes -0 a 0


def _interval(low: float, high: float, places: int | None) -> str:
    return f"{_fixed(low, places)} to {_fixed(high, places)}"


def _short_names(keys: Sequence[str]) -> list[str]:
    """Return the last part of each name, if it is unique: ``optimizer.lr`` -> ``lr``."""
    last = [key.rpartition(".")[2] for key in keys]
    return [short if last.count(short) == 1 else key for short, key in zip(last, keys, strict=True)]
