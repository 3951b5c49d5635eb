"""``rasched compare --kept`` on real runs: against a computation by hand, and its refusals."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from run_factories import folder_of_run
from typer.testing import CliRunner

import rasched as package
from rasched.cli.app import app

RULES, RATES, SEEDS = ("none", "kelly"), (0.01, 0.1, 1.0), range(4)
SWEEP = ["sweep", "rule=none,kelly", "optimizer.lr=0.01,0.1,1.0", "seed=range(0,4)", "signal=raw", "steps=200"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    with contextlib.chdir(folder):
        assert CliRunner().invoke(app, [*SWEEP, "hydra.sweep.dir=s"]).exit_code == 0
    return folder


@pytest.fixture
def sweep(here: Path, trained: Path) -> Path:
    return Path(shutil.copytree(trained, here, dirs_exist_ok=True)) / "s"


def regrets(sweep: Path, rule: str, lr: float, seed: int) -> pl.Series:
    folder = folder_of_run(sweep, f"rule={rule}", f"optimizer.lr={lr}", f"seed={seed}")
    return pl.read_parquet(folder / "metrics.parquet")["train/regret"]


def test_it_is_kept_of_the_areas_above_chance(rasched: Callable[..., Any], sweep: Path) -> None:
    chance = sum(regrets(sweep, rule, 0.01, seed)[:10].mean() for rule in RULES for seed in SEEDS) / 8  # type: ignore[misc]
    rows = [
        ("t", rule, lr, seed, chance - regrets(sweep, rule, lr, seed).mean())  # type: ignore[operator]
        for rule in RULES
        for lr in RATES
        for seed in SEEDS
    ]
    frame = pl.DataFrame(rows, schema=["task", "method", "lr", "seed", "score"], orient="row")
    expected = {row["method"]: row for row in package.kept(frame, "none").iter_rows(named=True)}
    found = {row["method"]: row for row in rasched("compare", "s", "--kept", "--json").json}
    for rule in RULES:
        for name in ("kept", "kept_low", "kept_high", "difference", "best_lr", "best_score"):
            assert found[f"rule={rule}"][name] == pytest.approx(expected[rule][name]), (rule, name)
    given = rasched("compare", "s", "--kept", "--json", "--chance", str(chance)).json
    assert given[0]["kept"] == pytest.approx(expected["none"]["kept"])


def test_table_and_sentences_say_where_the_numbers_come_from(rasched: Callable[..., Any], sweep: Path) -> None:
    words = " ".join(rasched("compare", "s", "--kept").out.split())
    assert "rule=none" in words and "+0.00" in words
    assert "The best constant rate is 1: " in words and "It is at the edge of the grid" in words
    assert "The chance level" in words and "first twentieth" in words


def test_runs_without_a_counterpart_are_left_out_and_counted(rasched: Callable[..., Any], sweep: Path) -> None:
    shutil.rmtree(folder_of_run(sweep, "optimizer.lr=0.1", "rule=kelly", "seed=2"))
    told = rasched("compare", "s", "--kept", "--json").json
    assert {row["num_seeds"] for row in told} == {3}
    assert "5 runs are left out" in rasched("compare", "s", "--kept").out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--metric", "regret_total"], "needs --chance"),
        (["--by", "rule"], "--kept and --by exclude one another"),
        (["--baseline", "rule=trend"], "needs one variant with rule=trend, found 0 among rule=none, rule=kelly"),
        (["--json", "--csv"], "exclude one another"),
    ],
)
def test_a_mistake_is_one_sentence(rasched: Callable[..., Any], sweep: Path, words: list[str], sentence: str) -> None:
    told = rasched("compare", "s", "--kept", *words)
    assert told.code == 2 and sentence in told.err and told.err.count("\n") == 1
    told = rasched("compare", "s", "--chance", "1")
    assert told.code == 2 and "--chance belongs to --kept" in told.err


def test_a_sweep_without_base_rates_is_refused(rasched: Callable[..., Any], here: Path) -> None:
    rasched("sweep", "rule=none,kelly", "seed=range(0,2)", "steps=20", "hydra.sweep.dir=s")
    told = rasched("compare", "s", "--kept")
    assert told.code == 2 and "needs several base rates" in told.err
