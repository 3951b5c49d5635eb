"""Scores against what a reader would work out by hand, and laws over random columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from rasched.records.scores import first, last, last_tenth, maximum, mean, minimum, scores, total

nan = np.nan
COLUMNS = npst.arrays(
    np.float64,
    st.tuples(st.integers(1, 60), st.integers(1, 4)),
    elements=st.one_of(st.just(nan), st.floats(-1e6, 1e6)),
)


def test_scores_of_a_small_run_are_those_worked_out_by_hand() -> None:
    steps = np.arange(1, 21, dtype=float)
    found = scores(
        {
            "train/reward": steps,
            "train/regret": 20 - steps,
            "train/optimal": (steps > 19) * 1.0,
            "train/lr": steps[::-1] / 10,
            "eval/return": np.where(steps % 10 == 0, steps, nan),
            "rollout/ep_rew_mean": np.where(steps > 3, 30 - steps, nan),
        }
    )
    assert {name: float(value) for name, value in found.items()} == {
        "reward_last_tenth": 19.5,
        "reward_mean": 10.5,
        "regret_total": 190.0,
        "regret_last_tenth": 0.5,
        "optimal_last_tenth": 0.5,
        "lr_first": 2.0,
        "lr_last": 0.1,
        "lr_min": 0.1,
        "lr_max": 2.0,
        "return_last": 10.0,
        "return_best": 26.0,
        "eval_return_last": 20.0,
        "eval_return_best": 20.0,
    }


@given(COLUMNS)
def test_many_runs_score_as_each_alone_to_the_last_bit(column: np.ndarray) -> None:
    names = ("train/reward", "train/regret", "train/optimal", "train/lr", "eval/return")
    together = scores({name: column for name in names})
    for run in range(column.shape[1]):
        alone = scores({name: column[:, run].copy() for name in names})
        for name, values in together.items():
            assert np.array_equal(values[run], alone[name], equal_nan=True)


@given(COLUMNS, st.integers(1, 20))
def test_steps_after_the_end_of_a_run_change_no_score(column: np.ndarray, more: int) -> None:
    column[-1] = 1.0
    padded = np.vstack([column, np.full((more, column.shape[1]), nan)])
    for name, values in scores({"train/reward": column, "train/regret": column, "train/lr": column}).items():
        assert np.array_equal(
            scores({"train/reward": padded, "train/regret": padded, "train/lr": padded})[name], values
        )


@given(COLUMNS)
def test_each_statistic_leaves_nan_out(column: np.ndarray) -> None:
    for run in range(column.shape[1]):
        values = column[:, run]
        there = values[~np.isnan(values)]
        if not len(there):
            assert all(np.isnan(f(values)) for f in (mean, total, first, last, minimum, maximum))
            continue
        assert mean(values) == pytest.approx(there.mean(), abs=1e-6)
        assert total(values) == pytest.approx(there.sum(), abs=1e-4)
        assert (first(values), last(values)) == (there[0], there[-1])
        assert (minimum(values), maximum(values)) == (there.min(), there.max())


@pytest.mark.parametrize(("rows", "kept"), [(1, 1), (9, 1), (10, 1), (11, 2), (1000, 100)])
def test_the_last_tenth_is_rounded_up(rows: int, kept: int) -> None:
    assert (~np.isnan(last_tenth(np.ones(rows)))).sum() == kept


def test_columns_that_are_not_there_have_no_score() -> None:
    assert scores({}) == scores({"train/reward": np.empty(0)}) == {}
    assert set(scores({"train/lr": [0.1]})) == {"lr_first", "lr_last", "lr_min", "lr_max"}
