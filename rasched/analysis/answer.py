"""What a comparison says, in sentences that follow from its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rasched.analysis import statistics
from rasched.analysis.compare import BaselineDifference, Comparison, VariantRow, difference_from, is_marked
from rasched.analysis.seed_scores import pair_scores
from rasched.analysis.variants import label

_MOST_SEEDS = 10_000  # a difference that takes more seeds than these is none that a user would look for
_MANY_VARIANTS = 5  # the best of so many looks better than it is


def answer(comparison: Comparison) -> list[str]:
    """Return the answer in one to four sentences."""
    best, *others = comparison.rows
    sentences = [_best(comparison, best)]
    if not others:
        return sentences
    if is_marked(best, comparison.marks):
        rival = next((row for row in others if not is_marked(row, comparison.marks)), None)
        if rival is not None:
            sentences.append(_rival(comparison, rival, best))
    else:
        sentences.append(_against_baseline(comparison, best))
        sentences += _against_best_baseline(comparison, best)
    if len(comparison.rows) >= _MANY_VARIANTS and best.runs > 1:
        sentences.append(
            f"The best of {len(comparison.rows)} variants on the same seeds looks better than it is: "
            "run it again on fresh seeds."
        )
    return sentences


def left_out(statuses: Sequence[tuple[str, str]], without_score: int, repeats: int, score: str) -> list[str]:
    """Return a sentence for each kind of run that does not count.

    Args:
        statuses: Status and variant label of each run that is not done.
        without_score: The number of finished runs that lack the score.
        repeats: The number of runs that repeat another one.
        score: The name of the score.

    """
    sentences = []
    for status, count in Counter(status for status, _ in statuses).items():
        variants = Counter(name for run_status, name in statuses if run_status == status)
        which = ", ".join(f"{name}: {n}" for name, n in variants.most_common(4)) + (" ..." if len(variants) > 4 else "")
        runs = f"{count} run{' is' if count == 1 else 's are'}"
        sentences.append(f"{runs} {status} and not counted ({which}).")
    if without_score:
        sentences.append(f"{_count(without_score, 'run')} without {score} not counted.")
    if repeats:
        sentences.append(f"{_count(repeats, 'run')} that repeat{'s' * (repeats == 1)} another one not counted.")
    return sentences


def _best(comparison: Comparison, best: VariantRow) -> str:
    if len(comparison.rows) == 1:
        return f"{best.label}: {_level(best)}."
    direction = "" if comparison.choice.higher_is_better else " (lower is better)"
    return f"Best is {best.label}{direction}: {_level(best)}."


def _level(row: VariantRow) -> str:
    if row.runs == 1:
        return f"{number(row.iqm)} with a single seed, which says nothing about other seeds"
    return f"interquartile mean {number(row.iqm)} ({number(row.low)} to {number(row.high)}) over {row.runs} runs"


def _against_baseline(comparison: Comparison, best: VariantRow) -> str:
    if best.vs_baseline is None or best.baseline is None:
        return f"It has no seed in common with {label(comparison.marks)}, so the two are not compared."
    conflicting = [key for key, value in best.baseline.variant.items() if best.variant.get(key, value) != value]
    same = len(best.variant) > len(comparison.marks) and set(conflicting) <= set(comparison.marks)
    name = label(comparison.marks) + " at the same other settings" if same else best.baseline.label
    return f"It is {_versus(best.vs_baseline, name)}; {_verdict(comparison, best, best.baseline, best.vs_baseline)}."


def _against_best_baseline(comparison: Comparison, best: VariantRow) -> list[str]:
    """Compare with the baseline at its own best settings, which is the one to beat."""
    strongest = next((row for row in comparison.rows if is_marked(row, comparison.marks)), None)
    if strongest is None or best.baseline is None or strongest.variant == best.baseline.variant:
        return []
    difference = difference_from(best, strongest, comparison.choice)
    if difference is None:
        return []
    return [f"Against the best {label(comparison.marks)}, {strongest.label}, it is {_versus(difference)}."]


def _rival(comparison: Comparison, rival: VariantRow, best: VariantRow) -> str:
    """Compare the best variant that is not the baseline with the baseline that is the best of all."""
    difference = difference_from(rival, best, comparison.choice)
    if difference is None:
        return f"The next other one, {rival.label}, has no seed in common with it."
    verdict = _verdict(comparison, rival, best, difference)
    return f"The next other one, {rival.label}, is {_versus(difference)}; {verdict}."


def _versus(found: BaselineDifference, name: str = "") -> str:
    side = "above" if found.difference > 0 else "below"
    amount = f"{number(abs(found.difference))} {side}{' ' * bool(name)}{name}" if found.difference else f"level {name}"
    interval = f"difference {number(found.low)} to {number(found.high)}, " if found.pairs > 1 else ""
    return f"{amount} ({interval}better in {found.wins} of {_count(found.pairs, 'pair')})"


def _verdict(comparison: Comparison, row: VariantRow, other: VariantRow, found: BaselineDifference) -> str:
    """Say whether the difference is more than luck, and if the seeds are too few to tell, how many would do."""
    num_tests = max(1, comparison.num_tests)
    corrected = f"after Holm's correction for {_count(num_tests, 'comparison')}" if num_tests > 1 else "with one test"
    p = found.p_holm if found is row.vs_baseline else min(1.0, found.p_holm * num_tests)
    if p < statistics.ALPHA:
        return f"this stands {corrected} (p = {p:.2g})"
    differences = pair_scores(row.scores, other.scores).differences
    if not differences.any():
        return "the runs of the two do not differ at all"
    least = statistics.fewest_pairs(num_tests)
    needed = statistics.num_seeds_needed(differences, num_tests)
    if found.pairs < least:
        return f"{_count(found.pairs, 'seed')} cannot show any difference: {max(least, needed or 0):,} would do"
    if needed is None or needed > _MOST_SEEDS:
        return f"the two cannot be told apart (p = {p:.2g} {corrected}), nor by {_MOST_SEEDS:,} seeds"
    needed = max(needed, found.pairs + 1)
    return f"the seeds are too few to tell (p = {p:.2g} {corrected}): about {needed:,} would do"


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
