"""What differs between two sweeps: settings, versions, and the scores of each variant on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rasched.analysis.compare import BaselineDifference, VariantRow, difference_from, summarize
from rasched.analysis.load import Results
from rasched.analysis.run_folder import Run, printable
from rasched.analysis.score_choice import ScoreChoice, choose_score
from rasched.analysis.seed_scores import SeedScores
from rasched.analysis.variants import Variant, find_variants, label
from rasched.errors import DamagedFileError, UsageError

_IGNORED = ("logger", "control", "seed")  # settings that change no number, or that a variant is repeated over


@dataclass(frozen=True)
class VariantDiff:
    """One variant in two sweeps; a side is None if it has no finished run of the variant.

    ``difference`` is the second side's score minus the first's, paired by seed; None without a common seed.
    """

    variant: Variant
    first: VariantRow | None
    second: VariantRow | None
    difference: BaselineDifference | None = None

    @property
    def label(self) -> str:
        """The variant as one would type it."""
        return label(dict(self.variant))

    def as_dict(self) -> dict[str, Any]:
        """Return what ``rasched diff --json`` prints of it."""
        sides = {
            name: None if row is None else {"runs": row.runs, "iqm": row.iqm, "low": row.low, "high": row.high}
            for name, row in (("first", self.first), ("second", self.second))
        }
        difference = None
        if self.difference is not None:
            difference = asdict(self.difference)
            difference["p"] = difference.pop("p_holm")  # one test per variant, not corrected
        return {"variant": dict(self.variant), **sides, "difference": difference}


@dataclass(frozen=True)
class SweepDiff:
    """Two sweeps compared.

    ``entries`` are the settings, versions and commits whose values differ between the sweeps, with the values of each.
    ``choice`` is the score; None if no run of either is done.
    """

    entries: dict[str, tuple[list[Any], list[Any]]]
    choice: ScoreChoice | None
    variants: tuple[VariantDiff, ...]

    @property
    def has_same_scores(self) -> bool:
        """Whether both have the same variants, with the same scores on the same seeds."""
        return all(
            diff.first is not None
            and diff.second is not None
            and diff.first.scores.by_seed(set()) == diff.second.scores.by_seed(set())
            for diff in self.variants
        )


def diff_sweeps(first: Results, second: Results) -> SweepDiff:
    """Compare the runs of two sweeps, variant by variant."""
    sides = (first, second)
    runs = [run for side in sides for run in side if run.status == "done"]
    try:
        choice = choose_score(None, [run.scores for run in runs])
    except UsageError:  # nothing is done yet
        return SweepDiff(_differing_entries(first, second), None, ())
    variants = _variants(first, second, runs)
    count = sum(run.status == "done" for run in first)
    ours = _rows(runs[:count], variants[:count], choice.name)
    theirs = _rows(runs[count:], variants[count:], choice.name)
    diffs = [_variant_diff(variant, ours.get(variant), theirs.get(variant), choice) for variant in ours | theirs]
    return SweepDiff(_differing_entries(first, second), choice, tuple(diffs))


def _variants(first: Results, second: Results, runs: Sequence[Run]) -> list[Variant]:
    """Return each run's values of the overrides that differ within one of the sweeps.

    What differs between the two as a whole, such as the steps, makes no variant: it is what one asks about.
    """
    keys = list(dict.fromkeys([*find_variants(first.all).keys, *find_variants(second.all).keys]))
    return [tuple(pair for pair in variant if pair[0] in keys) for variant in find_variants(runs, keys).of_runs]


def _rows(runs: Sequence[Run], variants: Sequence[Variant], name: str) -> dict[Variant, VariantRow]:
    groups: dict[Variant, SeedScores] = {}
    for run, variant in zip(runs, variants, strict=True):
        if name in run.scores:
            groups.setdefault(variant, SeedScores()).add(run.scores[name], run.seed, ())
    return {variant: summarize(dict(variant), scores) for variant, scores in groups.items()}


def _variant_diff(
    variant: Variant, first: VariantRow | None, second: VariantRow | None, choice: ScoreChoice
) -> VariantDiff:
    both = first is not None and second is not None
    return VariantDiff(variant, first, second, difference_from(second, first, choice) if both else None)  # type: ignore[arg-type]


def _differing_entries(first: Results, second: Results) -> dict[str, tuple[list[Any], list[Any]]]:
    ours, theirs = _entries(first), _entries(second)
    names = dict.fromkeys([*ours, *theirs])
    pairs = {name: (ours.get(name, []), theirs.get(name, [])) for name in names}
    return {name: pair for name, pair in pairs.items() if sorted(map(str, pair[0])) != sorted(map(str, pair[1]))}


def _entries(results: Results) -> dict[str, list[Any]]:
    """Return the different values of each setting, version and so on, by name."""
    values: dict[str, dict[Any, None]] = {}
    for run in results:
        for name, value in _run_entries(run).items():
            plain = value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
            values.setdefault(printable(name), {}).setdefault(plain)
    return {name: list(own) for name, own in values.items()}


def _run_entries(run: Run) -> Mapping[str, Any]:
    try:
        settings = {name: v for name, v in run.settings.items() if name.partition(".")[0] not in _IGNORED}
    except DamagedFileError:
        settings = {}
    versions = {f"version of {name}": value for name, value in run.record.get("versions", {}).items()}
    return {**settings, **versions, "commit": run.record.get("git", {}).get("commit")}
