"""Kept: which part of the tuned score a method keeps over base learning rates."""

from typing import Any

import numpy as np
import polars as pl
import pytest

import rasched
from rasched.analysis.kept import iqm_of_last_axis, kept, kept_table
from rasched.analysis.statistics import iqm

RATES = (0.001, 0.01, 0.1, 1.0)


def scores(by_method: dict[str, dict[float, float]], num_seeds: int = 8, noise: float = 0.0, task: str = "t") -> Any:
    rng = np.random.default_rng(1)
    rows = [
        (task, method, lr, seed, score + noise * rng.normal())
        for method, of_rate in by_method.items()
        for lr, score in of_rate.items()
        for seed in range(num_seeds)
    ]
    return pl.DataFrame(rows, schema=["task", "method", "lr", "seed", "score"], orient="row")


CONSTANT = {0.001: 0.1, 0.01: 0.4, 0.1: 0.8, 1.0: 0.2}
ADAPTIVE = {0.001: 0.4, 0.01: 0.8, 0.1: 0.6, 1.0: 0.4}


def test_kept_is_the_mean_over_the_rates_by_the_best_constant_score() -> None:
    table = kept(scores({"ours": ADAPTIVE, "constant": CONSTANT}))
    rows = {row["method"]: row for row in table.iter_rows(named=True)}
    assert rows["constant"]["kept"] == pytest.approx((0.1 + 0.4 + 0.8 + 0.2) / 4 / 0.8)
    ours = rows["ours"]
    assert ours["kept"] == pytest.approx(2.2 / 4 / 0.8)
    assert ours["difference"] == pytest.approx((2.2 - 1.5) / 4 / 0.8)
    assert (ours["best_lr"], ours["best_score"], ours["num_rates"]) == (0.1, pytest.approx(0.8), 4)
    assert ours["kept_low"] == pytest.approx(ours["kept"]) == pytest.approx(ours["kept_high"])  # no noise


def test_it_is_split_by_how_wrong_the_base_rate_is() -> None:
    row = kept(scores({"ours": ADAPTIVE, "constant": CONSTANT})).filter(pl.col("method") == "ours").row(0, named=True)
    assert row["tuned"] == pytest.approx(0.6 / 0.8)
    assert row["low"] == pytest.approx((0.4 + 0.8) / 2 / 0.8)
    assert row["high"] == pytest.approx(0.4 / 0.8)
    assert np.isnan(row["near"])


def test_further_rates_of_the_constant_count_for_its_best_score_only() -> None:
    more = CONSTANT | {0.03: 1.0}
    row = kept(scores({"ours": ADAPTIVE, "constant": more})).filter(pl.col("method") == "ours").row(0, named=True)
    assert row["kept"] == pytest.approx(2.2 / 4 / 1.0) and row["best_lr"] == 0.03 and row["num_rates"] == 4
    assert row["near"] == pytest.approx((0.8 + 0.6) / 2)


def test_intervals_hold_the_value_and_shrink_with_the_seeds() -> None:
    widths = []
    for num_seeds in (6, 24, 96):
        table = kept(scores({"ours": ADAPTIVE, "constant": CONSTANT}, num_seeds, noise=0.1))
        row = table.filter(pl.col("method") == "ours").row(0, named=True)
        assert row["kept_low"] < row["kept"] < row["kept_high"]
        assert row["difference_low"] < row["difference"] < row["difference_high"]
        widths.append(row["kept_high"] - row["kept_low"])
    assert widths[0] > widths[1] > widths[2]


def test_the_order_of_rows_does_not_matter() -> None:
    frame = scores({"ours": ADAPTIVE, "constant": CONSTANT}, noise=0.1)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    key = ["task", "method"]
    assert kept(shuffled).sort(key).equals(kept(frame).sort(key), null_equal=True)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="seed is missing"):
        kept(scores({"constant": CONSTANT}).drop("seed"))
    with pytest.raises(ValueError, match="no run of the reference 'constant'"):
        kept(scores({"ours": ADAPTIVE}))


def test_the_table_has_a_row_per_method_and_a_dash_for_a_task_that_it_lacks() -> None:
    both = scores({"constant": CONSTANT, "ours": ADAPTIVE}, task="a")
    one = scores({"constant": CONSTANT}, task="b")
    lines = kept_table(pl.concat([both, one])).splitlines()
    assert lines[0] == "| method | a | b | mean | tuned | near | low | high |"
    assert lines[2].startswith("| constant | .47 [.47, .47] | .47 [.47, .47] | .47 | 1.00 | - |")
    assert lines[3].startswith("| ours | .69 [.69, .69] | - | .69 | .75 | - |")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 40])
def test_the_interquartile_mean_is_that_of_the_statistics(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(3, count))
    assert iqm_of_last_axis(values).tolist() == pytest.approx([iqm(row) for row in values])


def test_it_stands_at_the_front_door() -> None:
    assert rasched.kept is kept
