"""The scores of one variant, and how they pair with those of another by seed."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rasched.analysis.variants import Variant

Floats = NDArray[np.float64]


@dataclass
class SeedScores:
    """Scores of runs of one variant, with the seed and the stratum of each; the lists have one entry per run.

    The stratum holds the overrides in which the runs of the variant differ beside their seed. It is empty unless the
    user chose what makes a variant.
    """

    scores: list[float] = field(default_factory=list)
    seeds: list[int | None] = field(default_factory=list)
    strata: list[Variant] = field(default_factory=list)

    def add(self, score: float, seed: int | None, stratum: Variant) -> None:
        """Add the score of a run."""
        self.scores.append(score)
        self.seeds.append(seed)
        self.strata.append(stratum)

    def keys(self) -> set[str]:
        """Return the overrides that occur in the strata."""
        return {key for stratum in self.strata for key, _ in stratum}

    def coarse_strata(self, keys: Set[str]) -> list[str]:
        """Return the stratum of each run as a label that only tells the given overrides apart."""
        return [str([pair for pair in stratum if pair[0] in keys]) for stratum in self.strata]

    def by_seed(self, keys: Set[str]) -> dict[tuple[str, int], float]:
        """Return the mean score per coarse stratum and seed."""
        cells: dict[tuple[str, int], list[float]] = {}
        for score, seed, stratum in zip(self.scores, self.seeds, self.coarse_strata(keys), strict=True):
            if seed is not None:
                cells.setdefault((stratum, seed), []).append(score)
        return {cell: float(np.mean(scores)) for cell, scores in cells.items()}


@dataclass(frozen=True)
class ScorePairs:
    """Scores of two variants with the same seeds; all of shape ``(num_pairs,)``."""

    values: Floats
    baseline: Floats
    strata: list[str]

    @property
    def differences(self) -> Floats:
        """The first variant's scores minus the second's."""
        return self.values - self.baseline


def pair_scores(ours: SeedScores, theirs: SeedScores) -> ScorePairs:
    """Pair two variants by seed, within the strata that both have; no pair if they share no seed."""
    keys = ours.keys() & theirs.keys()
    first, second = ours.by_seed(keys), theirs.by_seed(keys)
    cells = [cell for cell in first if cell in second]
    values, baseline = (np.array([side[cell] for cell in cells], np.float64) for side in (first, second))
    return ScorePairs(values, baseline, [stratum for stratum, _ in cells])
