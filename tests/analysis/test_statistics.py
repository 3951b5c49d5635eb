"""Statistics against rliable's numbers, against cases worked out by hand, and laws over random scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from rasched.analysis.statistics import (
    bootstrap_ci,
    fewest_pairs,
    holm,
    iqm,
    num_seeds_needed,
    paired_difference,
    performance_profile,
    probability_of_improvement,
    signed_rank_p,
)

nan = np.nan
SCORES = npst.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e3, 1e3))

# rliable 1.2.0 on `made_up(num_seeds, num_tasks, ...)` below; its intervals are by 50,000 resamples
RLIABLE = [
    # seeds, tasks, IQM, mean, P(improvement), interval of the IQM, interval of the mean
    (5, 1, 0.3591473333333333, 0.3412418, 0.56, (-0.48492, 1.12991), (-0.29467, 0.94291)),
    (20, 1, 0.3468548, 0.34551245, 0.6375, (-0.12663, 0.82107), (0.03306, 0.65613)),
    (10, 3, 0.2825105625, 0.3068263666666667, 0.6166666666666667, (-0.07658, 0.67428), (0.05492, 0.56143)),
    (7, 4, 0.3624277142857143, 0.3503513214285714, 0.663265306122449, (0.03585, 0.69237), (0.12589, 0.57259)),
]


def made_up(num_seeds: int, num_tasks: int, frequency: float) -> np.ndarray:
    index = np.arange(num_seeds * num_tasks).reshape(num_seeds, num_tasks)
    return np.round(np.sin(index * frequency) + 0.1 * np.cos(index * index), 6)


@pytest.mark.parametrize(("seeds", "tasks", "iqm_", "mean", "probability", "iqm_ci", "mean_ci"), RLIABLE)
def test_the_numbers_are_rliables(
    seeds: int,
    tasks: int,
    iqm_: float,
    mean: float,
    probability: float,
    iqm_ci: tuple[float, float],
    mean_ci: tuple[float, float],
) -> None:
    ours, theirs = made_up(seeds, tasks, 1.7) + 0.3, made_up(seeds, tasks, 2.3)
    strata = np.broadcast_to(np.arange(tasks), ours.shape).ravel()
    assert iqm(ours) == pytest.approx(iqm_, abs=1e-9)
    assert ours.mean() == pytest.approx(mean, abs=1e-9)
    found = probability_of_improvement(ours.ravel(), theirs.ravel(), strata, strata)
    assert found == pytest.approx(probability, abs=1e-9)
    # an end of an interval by 10,000 resamples has a standard error of 0.03 standard errors of the statistic
    tolerance = 0.03 * (iqm_ci[1] - iqm_ci[0])
    assert bootstrap_ci(ours.ravel(), "iqm", strata) == pytest.approx(iqm_ci, abs=tolerance)
    assert bootstrap_ci(ours.ravel(), "mean", strata) == pytest.approx(mean_ci, abs=tolerance)


def test_the_performance_profile_is_rliables() -> None:
    scores = made_up(20, 1, 1.7) + 0.3
    assert performance_profile(scores, [-0.5, 0, 0.5, 1]) == pytest.approx([0.8, 0.6, 0.45, 0.25])


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    assert iqm([1, 2, 3, 1000]) == 2.5
    assert iqm([-1e9, 1, 2, 3, 4, 5, 6, 1e9]) == 3.5
    assert iqm([1.0, 2.0, 6.0]) == 3.0  # a quarter of three runs is none
    assert iqm([5.0, nan]) == 5.0 and np.isnan(iqm([nan]))


@given(SCORES)
def test_the_interquartile_mean_is_scipys_trimmed_mean(values: np.ndarray) -> None:
    assert iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_an_interval_holds_the_estimate_and_is_repeatable(statistic: str) -> None:
    values = np.random.default_rng(0).standard_normal(30) + 4
    low, high = bootstrap_ci(values, statistic)
    assert low < (iqm(values) if statistic == "iqm" else values.mean()) < high
    assert bootstrap_ci(np.append(values[::-1], nan), statistic) == (low, high)


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_an_interval_is_scipys_within_the_bootstrap_error(statistic: str) -> None:
    values = np.random.default_rng(1).standard_normal(25)
    function = np.mean if statistic == "mean" else lambda x, axis: stats.trim_mean(x, 0.25, axis=axis)
    theirs = stats.bootstrap(
        (values,), function, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0), axis=0
    ).confidence_interval
    assert bootstrap_ci(values, statistic) == pytest.approx(tuple(theirs), abs=0.03)


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    bounds = np.array([bootstrap_ci(rng.standard_normal(30), num_resamples=400) for _ in range(400)])
    assert 0.90 <= ((bounds[:, 0] <= 0) & (bounds[:, 1] >= 0)).mean() <= 0.97


def test_a_stratum_keeps_its_number_of_runs() -> None:
    values, strata = np.array([0.0, 0.0, 10.0, 10.0]), np.array(["a", "a", "b", "b"])
    assert bootstrap_ci(values, "mean", strata) == (5.0, 5.0)
    low, high = bootstrap_ci(values, "mean")
    assert low < 5 < high


def test_one_value_is_its_own_interval_and_none_has_none() -> None:
    assert bootstrap_ci([3.0]) == (3.0, 3.0)
    assert np.isnan(bootstrap_ci([])).all()
    assert np.isnan(bootstrap_ci([1.0, np.inf])).all()


def test_an_unknown_statistic_is_refused() -> None:
    with pytest.raises(ValueError, match="'mean' or 'iqm', got 'median'"):
        bootstrap_ci([1.0], "median")


def test_a_paired_difference_worked_out_by_hand() -> None:
    found = paired_difference([3.0, 5.0, 2.0, 9.0, nan], [1.0, 2.0, 3.0, 1.0, 0.0])
    assert (found.difference, found.wins, found.pairs) == (3.0, 3, 4)  # 2, 3, -1, 8
    # of the 16 sign patterns of the ranks 1 to 4: those whose smaller rank sum is at most 1
    assert found.p == 4 / 16
    assert found.low < 3 < found.high
    assert paired_difference([3.0, 5.0], [1.0, 6.0], higher_is_better=False).wins == 1
    with pytest.raises(ValueError, match="no pair"):
        paired_difference([nan], [1.0])


@given(SCORES, st.floats(-100, 100))
def test_pairing_removes_what_a_seed_adds_to_both_sides(seed_effect: np.ndarray, difference: float) -> None:
    seed_effect, difference = np.round(seed_effect, 3), round(difference, 3)
    found = paired_difference(seed_effect + difference, seed_effect)
    assert (found.difference, found.low, found.high) == pytest.approx((difference,) * 3, abs=1e-9)


@given(SCORES)
def test_a_variant_against_itself_differs_in_nothing(values: np.ndarray) -> None:
    found = paired_difference(values, values)
    assert (found.difference, found.low, found.high, found.wins, found.p) == (0, 0, 0, 0, 1)
    assert probability_of_improvement(values, values) == pytest.approx(0.5)


@given(npst.arrays(np.float64, st.integers(1, 9), elements=st.integers(-4, 4).map(float)))
def test_the_p_value_of_few_pairs_is_exact_with_ties_too(differences: np.ndarray) -> None:
    present = differences[differences != 0]
    ranks = stats.rankdata(np.abs(present))
    sums = np.array([ranks @ np.array(signs) for signs in itertools.product([-1, 1], repeat=len(present))])
    exact = (np.abs(sums) >= abs(ranks @ np.sign(present)) - 1e-9).mean()
    assert signed_rank_p(differences) == pytest.approx(exact, abs=1e-9)


@given(npst.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3), unique=True))
def test_the_p_value_without_ties_is_scipys(differences: np.ndarray) -> None:
    if len(np.unique(np.abs(differences[differences != 0]))) == len(differences):
        assert signed_rank_p(differences) == pytest.approx(stats.wilcoxon(differences).pvalue, abs=1e-9)


@pytest.mark.parametrize("decimals", [1, 12])
def test_the_p_value_of_many_pairs_is_scipys_approximation_with_and_without_ties(decimals: int) -> None:
    differences = np.random.default_rng(3).normal(0.1, 1, 150).round(decimals)
    expected = stats.wilcoxon(differences, method="asymptotic").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, abs=1e-12)


def test_the_probability_of_improvement_counts_pairs_and_half_of_the_ties() -> None:
    assert probability_of_improvement([2.0, 3.0], [1.0, 2.0]) == (1 + 0.5 + 1 + 1) / 4
    assert probability_of_improvement([2.0, 3.0], [1.0, 2.0], higher_is_better=False) == 0.5 / 4
    assert np.isnan(probability_of_improvement([1.0], [1.0], ["a"], ["b"]))


@given(SCORES, SCORES)
def test_the_probability_of_improvement_is_mann_whitneys(ours: np.ndarray, theirs: np.ndarray) -> None:
    statistic = stats.mannwhitneyu(ours, theirs, method="asymptotic").statistic if ours.std() + theirs.std() else None
    if statistic is not None:
        found = probability_of_improvement(ours, theirs)
        assert found == pytest.approx(statistic / (len(ours) * len(theirs)), abs=1e-12)
    assert probability_of_improvement(ours, theirs) + probability_of_improvement(theirs, ours) == pytest.approx(1)


def test_holms_adjustment_worked_out_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.7]).tolist() == [0.7] and holm([]).tolist() == []
    assert holm([0.6, 0.6]).tolist() == [1, 1]


@given(npst.arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(p: np.ndarray) -> None:
    adjusted = holm(p)
    assert (adjusted >= p - 1e-15).all() and (adjusted <= np.minimum(len(p) * p, 1) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_rejects_a_true_null_hypothesis_no_more_often_than_five_percent() -> None:
    p = np.random.default_rng(0).uniform(size=(2_000, 8))
    assert np.mean([holm(row).min() < 0.05 for row in p]) < 0.06


def test_the_proposed_number_of_seeds_finds_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal(100_000)
    reference = (reference - reference.mean()) / reference.std(ddof=1) + 0.4
    count = num_seeds_needed(reference)
    assert count == 50  # ((1.960 + 0.842) / 0.4)^2 = 49.06
    found = np.mean([signed_rank_p(rng.standard_normal(count) + 0.4) < 0.05 for _ in range(400)])
    assert 0.74 < found < 0.86


def test_the_proposed_number_grows_with_the_number_of_tests_and_is_at_least_what_the_test_needs() -> None:
    differences = np.array([0.3, 0.1, -0.2, 0.4])
    assert num_seeds_needed(differences, 1) < num_seeds_needed(differences, 20)
    assert num_seeds_needed([1.0, 1.0], 1) == fewest_pairs(1) == 6
    assert num_seeds_needed([1.0, -1.0]) is None and num_seeds_needed([1.0]) is None


@pytest.mark.parametrize("num_tests", [1, 4, 24, 100])
def test_fewer_pairs_than_the_least_cannot_show_anything(num_tests: int) -> None:
    enough = fewest_pairs(num_tests)
    assert signed_rank_p(np.arange(1, enough + 1)) * num_tests <= 0.05
    assert signed_rank_p(np.arange(1, enough)) * num_tests > 0.05
