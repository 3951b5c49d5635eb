"""Variants beside one another: their scores over seeds, and their difference from a baseline on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from rasched.analysis import statistics
from rasched.analysis.score_choice import ScoreChoice
from rasched.analysis.seed_scores import SeedScores, pair_scores
from rasched.analysis.variants import Value, VariantSource, find_variants, format_value, label, parse_overrides
from rasched.errors import UsageError
from rasched.validation import did_you_mean

CONSTANT_RATE: Mapping[str, Value] = {"rule": "none"}
SWEEP = "sweep"  # as an override: the folder that a run was found through
_PROBLEM = ("env", "agent", "steps", "preset")  # runs that differ in these are never a baseline for one another


class ComparedRun(VariantSource, Protocol):
    """What is read of a run to compare it."""

    @property
    def seed(self) -> int | None:
        """The seed; None if the record does not say."""

    @property
    def sweep(self) -> Path:
        """The folder that the run was found through."""

    @property
    def config_hash(self) -> str | None:
        """Equal for two runs of the same settings and seed; None if the record does not say."""


@dataclass(frozen=True)
class BaselineDifference:
    """A variant's score minus its baseline's: the mean over pairs of runs with the same seed, and its 95 % interval."""

    difference: float
    low: float
    high: float
    wins: int
    pairs: int
    probability_of_improvement: float
    p_holm: float


@dataclass(frozen=True)
class VariantRow:
    """A variant over its ``runs`` seeds; (``low``, ``high``) is the 95 % interval of the interquartile mean ``iqm``."""

    variant: dict[str, Value]
    runs: int
    iqm: float
    mean: float
    low: float
    high: float
    vs_baseline: BaselineDifference | None = None
    baseline: VariantRow | None = field(default=None, repr=False)  # what it is compared with
    scores: SeedScores = field(default_factory=SeedScores, repr=False)

    @property
    def label(self) -> str:
        """The variant as one would type it."""
        return label(self.variant)

    def as_dict(self) -> dict[str, Any]:
        """Return what `rasched compare --json` prints of it."""
        names = ("variant", "runs", "iqm", "mean", "low", "high")
        difference = None if self.vs_baseline is None else asdict(self.vs_baseline)
        return {**{name: getattr(self, name) for name in names}, "vs_baseline": difference}


@dataclass(frozen=True)
class Comparison:
    """Variants sorted by score, the best first. ``marks`` are the overrides that mark the baseline."""

    choice: ScoreChoice
    rows: tuple[VariantRow, ...]
    marks: dict[str, Value]
    repeats: int = 0  # runs of the same settings, seed and score as another, which count once
    answer: tuple[str, ...] = ()  # sentences
    notes: tuple[str, ...] = ()  # sentences about runs that do not count

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return one dict per variant, as ``rasched compare --json`` prints them."""
        return [row.as_dict() for row in self.rows]

    def frame(self) -> pl.DataFrame:
        """Return one row per variant: its overrides, its numbers and those of its difference from the baseline."""
        keys = dict.fromkeys(key for row in self.rows for key in row.variant)
        table = []
        for row in self.as_dicts():
            variant, difference = row.pop("variant"), row.pop("vs_baseline") or {}
            own = {key: None if key not in variant else format_value(variant[key]) for key in keys}
            vs = {f"vs_baseline.{name.name}": difference.get(name.name) for name in fields(BaselineDifference)}
            table.append({**own, **row, **vs})
        return pl.DataFrame(table, infer_schema_length=None)

    @property
    def num_tests(self) -> int:
        """The number of differences that are tested, for which Holm's method corrects."""
        return sum(row.vs_baseline is not None for row in self.rows)


def compare(
    runs: Sequence[ComparedRun],
    scores: Mapping[int, float],
    choice: ScoreChoice,
    by: Sequence[str] = (),
    baseline: str | None = None,
) -> Comparison:
    """Compare the variants of runs.

    Args:
        runs: The runs of one or several sweeps.
        scores: The score of each run by its index in ``runs``; a run without one is left out.
        choice: What the scores are.
        by: Overrides that tell variants apart. By default all that differ, but the seed. Runs that differ in others
            are then strata of one variant. ``sweep`` tells the folders apart.
        baseline: Overrides that mark the baseline, such as ``rule=none``. A variant is compared with the baseline that
            is most like it in all else. By default ``rule=none`` if there is such a variant, else the best one.

    Raises:
        UsageError: No run has a score, or ``by`` or ``baseline`` name what these runs do not have.

    """
    if not scores:
        raise UsageError(f"no run has the score {choice.name}")
    kept = _without_repeats(runs, scores)
    groups = _group([runs[index] for index in kept], [scores[index] for index in kept], by)
    order = -1 if choice.higher_is_better else 1
    rows = sorted((summarize(dict(key), own) for key, own in groups.items()), key=lambda row: order * row.iqm)
    marks = _baseline_marks(rows, baseline)
    compared = _with_holm([_against_baseline(row, rows, marks, choice) for row in rows])
    return Comparison(choice, tuple(compared), marks, len(scores) - len(kept))


def _without_repeats(runs: Sequence[ComparedRun], scores: Mapping[int, float]) -> list[int]:
    """Return the indices of the runs to count: one of several with the same settings, seed and score."""
    unique: dict[tuple[object, float], int] = {}
    for index in sorted(scores):
        unique.setdefault((runs[index].config_hash or index, scores[index]), index)
    return sorted(unique.values())


def _group(
    runs: Sequence[ComparedRun], scores: Sequence[float], by: Sequence[str]
) -> dict[tuple[tuple[str, Value], ...], SeedScores]:
    variants = find_variants(runs, [key for key in by if key != SWEEP])
    keys = _checked_keys(by, runs, variants.keys) if by else variants.keys
    if not by and _sweeps_disagree(runs):
        keys = (*keys, SWEEP)
    groups: dict[tuple[tuple[str, Value], ...], SeedScores] = {}
    for run, score, pairs in zip(runs, scores, variants.of_runs, strict=True):
        own = {**dict(pairs), SWEEP: str(run.sweep)}
        variant = tuple((key, own[key]) for key in keys if key in own)
        stratum = tuple((key, value) for key, value in pairs if key not in keys)
        groups.setdefault(variant, SeedScores()).add(score, run.seed, stratum)
    return groups


def _checked_keys(by: Sequence[str], runs: Sequence[ComparedRun], known: Sequence[str]) -> tuple[str, ...]:
    for key in by:
        if key != SWEEP and not any(key in dict(pairs) for pairs in find_variants(runs, [key]).of_runs):
            names = [name for name in known if name not in by] + [SWEEP]
            raise UsageError(
                f"--by {key}: these runs have no such override; they differ in {', '.join(names)}"
                f"{did_you_mean(key, names)}"
            )
    return tuple(by)


def _sweeps_disagree(runs: Sequence[ComparedRun]) -> bool:
    """Return whether sweeps have runs of the same settings and seed with different scores: then the sweep differs."""
    hashes = [run.config_hash for run in runs if run.config_hash]
    return len(set(hashes)) < len(hashes) and len({run.sweep for run in runs}) > 1


def summarize(variant: dict[str, Value], own: SeedScores) -> VariantRow:
    """Return a variant with the statistics of its scores, not compared with any other yet."""
    low, high = statistics.bootstrap_ci(own.scores, "iqm", own.coarse_strata(own.keys()))
    mean = float(np.mean(own.scores))
    return VariantRow(variant, len(own.scores), statistics.iqm(own.scores), mean, low, high, scores=own)


def _baseline_marks(rows: Sequence[VariantRow], baseline: str | None) -> dict[str, Value]:
    """Return the overrides that mark the baseline."""
    if baseline is None:
        has_constant_rate = any(is_marked(row, CONSTANT_RATE) for row in rows)
        return dict(CONSTANT_RATE) if has_constant_rate else dict(rows[0].variant)
    marks = parse_overrides(baseline.replace(",", " ").split())
    if not any(is_marked(row, marks) for row in rows):
        known = [row.label for row in rows]
        more = f" and {len(known) - 8} more" if len(known) > 8 else ""
        raise UsageError(
            f"--baseline {baseline} is none of these variants: {', '.join(known[:8])}{more}"
            f"{did_you_mean(baseline, known)}"
        )
    return marks


def is_marked(row: VariantRow, marks: Mapping[str, Value]) -> bool:
    """Return whether a variant has the overrides that mark the baseline."""
    return all(key in row.variant and row.variant[key] == value for key, value in marks.items())


def _against_baseline(
    row: VariantRow, rows: Sequence[VariantRow], marks: Mapping[str, Value], choice: ScoreChoice
) -> VariantRow:
    """Return the row with its difference from its baseline; p is not corrected yet."""
    other = None if is_marked(row, marks) else _counterpart(row, rows, marks)
    difference = None if other is None else difference_from(row, other, choice)
    return row if difference is None else replace(row, vs_baseline=difference, baseline=other)


def _counterpart(row: VariantRow, rows: Sequence[VariantRow], marks: Mapping[str, Value]) -> VariantRow | None:
    """Return the baseline for a variant: of the same problem, and like it in as many overrides as possible.

    ``rows`` are sorted, so that of equally good ones the best is taken.
    """

    def conflicts(other: VariantRow) -> list[str]:
        shared = (key for key in row.variant if key in other.variant and key not in marks)
        return [key for key in shared if row.variant[key] != other.variant[key]]

    candidates = [other for other in rows if is_marked(other, marks)]
    fair = [o for o in candidates if not any(key.partition(".")[0] in _PROBLEM for key in conflicts(o))]
    return min(fair, key=lambda other: len(conflicts(other)), default=None)


def difference_from(row: VariantRow, other: VariantRow, choice: ScoreChoice) -> BaselineDifference | None:
    """Return the paired difference of two variants with an uncorrected p; None if they have no seed in common."""
    pairs = pair_scores(row.scores, other.scores)
    if not len(pairs.values):
        return None
    paired = statistics.paired_difference(pairs.values, pairs.baseline, pairs.strata, choice.higher_is_better)
    keys = row.scores.keys() & other.scores.keys()
    probability = statistics.probability_of_improvement(
        row.scores.scores,
        other.scores.scores,
        row.scores.coarse_strata(keys),
        other.scores.coarse_strata(keys),
        choice.higher_is_better,
    )
    return BaselineDifference(
        paired.difference, paired.low, paired.high, paired.wins, paired.pairs, probability, paired.p
    )


def _with_holm(rows: Sequence[VariantRow]) -> list[VariantRow]:
    adjusted = iter(statistics.holm([row.vs_baseline.p_holm for row in rows if row.vs_baseline]).tolist())
    return [
        replace(row, vs_baseline=replace(row.vs_baseline, p_holm=next(adjusted))) if row.vs_baseline else row
        for row in rows
    ]
