"""Comparisons of hand-made runs with known scores, and what the answer says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasched.analysis.answer import answer, left_out
from rasched.analysis.compare import Comparison, VariantRow, compare
from rasched.analysis.score_choice import ScoreChoice
from rasched.analysis.variants import find_variants, label, parse_overrides
from rasched.errors import UsageError

REWARD = ScoreChoice("reward_last_tenth", "mean reward of the last tenth", higher_is_better=True)
REGRET = ScoreChoice("regret_total", "total regret", higher_is_better=False)


@dataclass
class MadeRun:
    overrides: list[str]
    score: float
    settings: dict[str, Any] = field(default_factory=dict)
    sweep: Path = Path("a")
    config_hash: str | None = None

    @property
    def seed(self) -> int | None:
        seed = parse_overrides(self.overrides).get("seed")
        return seed if isinstance(seed, int) else None


def runs_of(variant: str, scores: Sequence[float], first_seed: int = 0, **more: Any) -> list[MadeRun]:
    return [MadeRun([*variant.split(), f"seed={seed}"], s, **more) for seed, s in enumerate(scores, first_seed)]


def compared(runs: list[MadeRun], choice: ScoreChoice = REWARD, **options: Any) -> Comparison:
    return compare(runs, {index: run.score for index, run in enumerate(runs)}, choice, **options)


def row_of(comparison: Comparison, variant: str) -> VariantRow:
    (found,) = [row for row in comparison.rows if row.label == variant]
    return found


def test_a_comparison_worked_out_by_hand() -> None:
    comparison = compared(
        [
            *runs_of("rule=none", [1, 2, 3, 4]),
            *runs_of("rule=kelly", [2, 2.5, 5, 12]),
            *runs_of("rule=trend", [0, 1, 2, 3]),
        ]
    )
    assert [row.label for row in comparison.rows] == ["rule=kelly", "rule=none", "rule=trend"]
    kelly, none, trend = (row.as_dict() for row in comparison.rows)
    assert (kelly["variant"], kelly["runs"], kelly["iqm"], kelly["mean"]) == ({"rule": "kelly"}, 4, 3.75, 5.375)
    assert kelly["low"] < 3.75 < kelly["high"]
    assert none["vs_baseline"] is None
    difference = kelly["vs_baseline"]
    assert (difference["difference"], difference["wins"], difference["pairs"]) == (2.875, 4, 4)
    # of 16 pairs kelly is above in 2, 2, 4, 4 with ties counted half: 2 is above 1 and level with 2
    assert difference["probability_of_improvement"] == (1.5 + 2 + 4 + 4) / 16
    assert difference["p_holm"] == 2 * 2 / 16  # both signed-rank tests have 2/16; Holm doubles the smaller
    worse = trend["vs_baseline"]
    assert (worse["difference"], worse["low"], worse["high"], worse["wins"], worse["p_holm"]) == (-1, -1, -1, 0, 0.25)


def test_the_seed_is_never_a_variant_and_constant_overrides_are_none() -> None:
    comparison = compared([*runs_of("env=gaussian rule=none", [1, 2]), *runs_of("env=gaussian rule=kelly", [2, 3])])
    assert [row.variant for row in comparison.rows] == [{"rule": "kelly"}, {"rule": "none"}]
    alone = compared(runs_of("env=gaussian", [1, 2]))
    assert alone.rows[0].variant == {} and alone.rows[0].label == "all runs"


def test_a_default_is_the_same_variant_as_the_override_that_names_it() -> None:
    runs = [
        MadeRun([], 1.0, {"rule.name": "kelly", "optimizer.lr": 0.1}),
        MadeRun(["rule=kelly"], 2.0, {"rule.name": "kelly", "optimizer.lr": 0.1}),
        MadeRun(["optimizer.lr=1e-1"], 2.0, {"rule.name": "kelly", "optimizer.lr": 0.1}),
        MadeRun(["rule=none", "logger.plot=false"], 3.0, {"rule.name": "none", "optimizer.lr": 0.1}),
    ]
    assert find_variants(runs).keys == ("rule",)
    assert [dict(v)["rule"] for v in find_variants(runs).of_runs] == ["kelly", "kelly", "kelly", "none"]


def test_each_variant_is_compared_with_the_baseline_at_its_own_base_rate() -> None:
    runs = [
        *runs_of("rule=none optimizer.lr=0.1", [5, 6]),
        *runs_of("rule=none optimizer.lr=1", [1, 2]),
        *runs_of("rule=kelly optimizer.lr=1", [3, 5]),
        *runs_of("rule=kelly optimizer.lr=10", [0, 1]),
    ]
    comparison = compared(runs)
    assert row_of(comparison, "rule=kelly optimizer.lr=1").vs_baseline.difference == 2.5  # type: ignore[union-attr]
    far = row_of(comparison, "rule=kelly optimizer.lr=10")  # no such rate among the baselines: the best of them
    assert far.baseline is not None and far.baseline.label == "rule=none optimizer.lr=0.1"
    assert row_of(comparison, "rule=none optimizer.lr=1").vs_baseline is None


def test_a_baseline_of_another_problem_is_none() -> None:
    runs = [*runs_of("rule=none env=gaussian", [1, 2]), *runs_of("rule=kelly env=switching", [3, 5])]
    assert row_of(compared(runs), "rule=kelly env=switching").vs_baseline is None


def test_without_a_constant_rate_the_best_is_the_baseline_and_any_other_can_be_named() -> None:
    runs = [*runs_of("rule=kelly", [1, 2]), *runs_of("rule=trend", [3, 4])]
    assert compared(runs).marks == {"rule": "trend"}
    assert compared(runs, baseline="rule=kelly").marks == {"rule": "kelly"}
    with pytest.raises(UsageError, match="--baseline rule=kely is none of these variants: rule=trend, rule=kelly .did"):
        compared(runs, baseline="rule=kely")


def test_only_seeds_on_both_sides_are_paired() -> None:
    comparison = compared([*runs_of("rule=none", [1, 2, 3], first_seed=1), *runs_of("rule=kelly", [9, 4, 6])])
    difference = row_of(comparison, "rule=kelly").vs_baseline
    assert difference is not None and (difference.pairs, difference.difference) == (2, (4 - 1 + 6 - 2) / 2)
    apart = compared([*runs_of("rule=none", [1, 2], first_seed=7), *runs_of("rule=kelly", [9, 4])])
    assert row_of(apart, "rule=kelly").vs_baseline is None
    assert "no seed in common" in " ".join(answer(apart))


def test_by_makes_strata_of_what_it_does_not_name() -> None:
    runs = [
        *runs_of("rule=none optimizer.lr=0.1", [1, 2]),
        *runs_of("rule=none optimizer.lr=1", [11, 12]),
        *runs_of("rule=kelly optimizer.lr=0.1", [2, 3]),
        *runs_of("rule=kelly optimizer.lr=1", [12, 13]),
    ]
    comparison = compared(runs, by=["rule"])
    kelly = row_of(comparison, "rule=kelly")
    assert kelly.runs == 4 and kelly.vs_baseline is not None
    assert (kelly.vs_baseline.difference, kelly.vs_baseline.pairs, kelly.vs_baseline.low) == (1, 4, 1)
    assert kelly.vs_baseline.probability_of_improvement == (0.5 + 3) / 4  # within a base rate, not across
    with pytest.raises(UsageError, match="--by agent: these runs have no such override; they differ in rule"):
        compared(runs, by=["agent"])


def test_regret_is_better_if_it_is_lower() -> None:
    comparison = compared([*runs_of("rule=none", [5, 7]), *runs_of("rule=kelly", [3, 6])], REGRET)
    kelly = comparison.rows[0]
    assert kelly.label == "rule=kelly" and kelly.vs_baseline is not None
    assert (kelly.vs_baseline.difference, kelly.vs_baseline.wins) == (-1.5, 2)
    assert kelly.vs_baseline.probability_of_improvement == 0.75
    assert "lower is better" in answer(comparison)[0]


def test_a_repeat_counts_once_and_sweeps_that_disagree_are_told_apart() -> None:
    today, yesterday = ({"sweep": Path(name)} for name in ("today", "yesterday"))
    same = [MadeRun(["seed=0"], 1.0, config_hash="x", **where) for where in (today, yesterday)]
    comparison = compared(same)
    assert (comparison.rows[0].runs, comparison.repeats) == (1, 1)
    changed = [MadeRun(["seed=0"], score, config_hash="x", **w) for score, w in ((1.0, today), (2.0, yesterday))]
    assert [row.variant for row in compared(changed).rows] == [{"sweep": "yesterday"}, {"sweep": "today"}]
    assert [row.label for row in compared(same, by=["sweep"]).rows] == ["sweep=today"]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.randoms())
def test_the_order_of_runs_does_not_matter(scores: list[float], random: Any) -> None:
    runs = [*runs_of("rule=none", scores), *runs_of("rule=kelly", [s + 1 for s in scores])]
    shuffled = random.sample(runs, len(runs))
    first, second = ([row.as_dict() for row in compared(some).rows] for some in (runs, shuffled))
    for ours, theirs in zip(first, second, strict=True):
        assert ours.pop("variant") == theirs.pop("variant")
        assert ours.pop("vs_baseline") == pytest.approx(theirs.pop("vs_baseline"))
        assert ours == pytest.approx(theirs)


def words(*runs: MadeRun) -> str:
    return " ".join(answer(compared([*runs])))


def test_the_answer_says_when_seeds_are_too_few_and_how_many_would_do() -> None:
    rng = np.random.default_rng(0)
    few = words(*runs_of("rule=none", [1, 2, 3]), *runs_of("rule=kelly", [2, 2.5, 4]))
    assert "Best is rule=kelly" in few and "3 seeds cannot show any difference: " in few
    noise = rng.standard_normal(20)
    unclear = words(*runs_of("rule=none", noise), *runs_of("rule=kelly", noise + 0.3 * rng.standard_normal(20) + 0.05))
    assert "the seeds are too few to tell" in unclear and "would do" in unclear
    clear = words(*runs_of("rule=none", noise), *runs_of("rule=kelly", noise + 1 + 0.1 * rng.standard_normal(20)))
    assert "this stands" in clear and "better in 20 of 20 pairs" in clear


def test_the_answer_names_the_best_baseline_if_it_is_another_than_the_counterpart() -> None:
    text = words(
        *runs_of("rule=none optimizer.lr=0.1", [5, 6]),
        *runs_of("rule=none optimizer.lr=1", [1, 2]),
        *runs_of("rule=kelly optimizer.lr=1", [7, 7.5]),
    )
    assert "4.75 above rule=none at the same other settings" not in text  # 7 - 1 and 7.5 - 2
    assert "5.75 above rule=none at the same other settings" in text
    assert "Against the best rule=none, rule=none optimizer.lr=0.1, it is 1.75 above" in text


def test_the_answer_compares_the_runner_up_if_the_baseline_is_best() -> None:
    text = words(*runs_of("rule=none", [5, 6]), *runs_of("rule=kelly", [4, 4]), *runs_of("rule=trend", [1, 1]))
    assert "Best is rule=none" in text and "The next other one, rule=kelly, is 1.5 below" in text
    equal = words(*runs_of("rule=none", [5, 6]), *runs_of("rule=variance", [5, 6]))
    assert "do not differ at all" in equal


def test_a_single_seed_says_nothing() -> None:
    assert "a single seed, which says nothing about other seeds" in words(*runs_of("rule=none", [5]))


def test_what_does_not_count_is_said() -> None:
    said = left_out([("failed", "rule=trend"), ("failed", "rule=trend"), ("running", "rule=none")], 1, 2, "regret")
    assert said == [
        "2 runs are failed and not counted (rule=trend: 2).",
        "1 run is running and not counted (rule=none: 1).",
        "1 run without regret not counted.",
        "2 runs that repeat another one not counted.",
    ]


def test_no_score_at_all_is_an_error() -> None:
    with pytest.raises(UsageError, match="no run has the score reward_last_tenth"):
        compare([], {}, REWARD)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("rule=kelly", {"rule": "kelly"}),
        ("+preset=ppo", {"preset": "ppo"}),
        ("steps=10", {"steps": 10}),
        ("optimizer.lr=1e-3", {"optimizer.lr": 0.001}),
        ("eval.every=null", {"eval.every": None}),
        ("agent.double_q=true", {"agent.double_q": True}),
        ("env.id='A b'", {"env.id": "A b"}),
        ("~eval", {"~eval": True}),
        ("a=b=c", {"a": "b=c"}),
    ],
)
def test_overrides_have_plain_values(line: str, parsed: dict[str, Any]) -> None:
    assert parse_overrides([line]) == parsed
    if "=" in line and "'" not in line and "+" not in line:
        assert parse_overrides([label(parsed)]) == parsed
