"""``rasched compare`` on real runs: against a separate computation, on folders of all kinds, and its refusals."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from run_factories import folder_of_run
from scipy import stats
from typer.testing import CliRunner

from rasched.cli.app import app
from rasched.records.run_json import read_json, write_json


def last_tenth(folder: Path) -> float:
    rewards = pl.read_parquet(folder / "metrics.parquet")["train/reward"].to_numpy()
    return float(rewards[-len(rewards) // 10 :].mean())


def test_trend_against_none_on_twenty_seeds_is_what_a_separate_script_finds(rasched: Callable[..., Any]) -> None:
    run = rasched(
        "sweep", "env=switching", "rule=none,trend", "seed=range(0,20)", "steps=300", "hydra.sweep.dir=s", "--json"
    )
    assert run.code == 0, run.err
    scores = {
        rule: np.array([last_tenth(folder_of_run(Path("s"), f"rule={rule}", f"seed={seed}")) for seed in range(20)])
        for rule in ("none", "trend")
    }
    told = {row["variant"]["rule"]: row for row in rasched("compare", "s", "--json").json}
    for rule, values in scores.items():
        assert told[rule]["runs"] == 20
        assert told[rule]["iqm"] == pytest.approx(stats.trim_mean(values, 0.25), abs=1e-9)
        assert told[rule]["mean"] == pytest.approx(values.mean(), abs=1e-9)
        low, high = stats.bootstrap(
            (values,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile", rng=0
        ).confidence_interval
        assert (told[rule]["low"], told[rule]["high"]) == pytest.approx((low, high), abs=0.05 * (high - low))
    found, differences = told["trend"]["vs_baseline"], scores["trend"] - scores["none"]
    assert found["difference"] == pytest.approx(differences.mean(), abs=1e-9)
    assert (found["wins"], found["pairs"]) == ((differences > 0).sum(), 20)
    u = stats.mannwhitneyu(scores["trend"], scores["none"]).statistic
    assert found["probability_of_improvement"] == pytest.approx(u / 400)
    # several seeds never differ; with their zeros SciPy would fall back to a normal approximation
    exact = stats.wilcoxon(differences[differences != 0], method="exact").pvalue
    assert found["p_holm"] == pytest.approx(exact)
    assert told["none"]["vs_baseline"] is None
    assert run.json["table"] == rasched("compare", "s", "--json").json  # a sweep's own table is the same


def test_a_sweep_ends_with_the_table_that_compare_prints(rasched: Callable[..., Any]) -> None:
    told = rasched("sweep", "rule=none,kelly", "seed=range(0,3)", "steps=60", "hydra.sweep.dir=s")
    compared = rasched("compare", "s")
    assert compared.code == 0 and compared.out in told.out
    words = " ".join(compared.out.split())
    assert "difference from rule=none, paired by seed" in words
    assert "3 seeds cannot show any difference" in words


def test_csv_is_a_table_for_other_programs(rasched: Callable[..., Any]) -> None:
    rasched("sweep", "rule=none,kelly", "optimizer.lr=0.1,0.4", "seed=range(0,2)", "steps=40", "hydra.sweep.dir=s")
    rows = list(csv.DictReader(io.StringIO(rasched("compare", "s", "--csv").out)))
    assert {(row["rule"], row["optimizer.lr"]) for row in rows} == {
        (rule, lr) for rule in ("none", "kelly") for lr in ("0.1", "0.4")
    }
    told = rasched("compare", "s", "--json").json
    assert [float(row["iqm"]) for row in rows] == pytest.approx([row["iqm"] for row in told])
    assert "vs_baseline.difference" in rows[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with contextlib.chdir(folder):
        for rule in ("none", "kelly"):
            words = ["sweep", f"rule={rule}", "seed=range(0,3)", "steps=50", f"hydra.sweep.dir={rule}"]
            assert CliRunner().invoke(app, words).exit_code == 0
    return folder


@pytest.fixture
def two_sweeps(here: Path, trained: Path) -> Path:
    return Path(shutil.copytree(trained, here, dirs_exist_ok=True))


def test_two_sweeps_are_compared_together_and_moved_folders_too(rasched: Callable[..., Any], two_sweeps: Path) -> None:
    told = rasched("compare", "none", "kelly", "--json").json
    assert {row["variant"]["rule"]: row["runs"] for row in told} == {"none": 3, "kelly": 3}
    (two_sweeps / "moved").mkdir()
    shutil.move("none", "moved/far")
    shutil.move("kelly", "moved/away")
    assert rasched("compare", "moved", "--json").json == told


def test_a_default_run_joins_its_variant(rasched: Callable[..., Any], two_sweeps: Path) -> None:
    assert rasched("run", "seed=3", "steps=50", "control=false", "logger.plot=false", "hydra.run.dir=one").code == 0
    told = rasched("compare", "none", "kelly", "one", "--json").json
    assert {row["variant"]["rule"]: row["runs"] for row in told} == {"none": 3, "kelly": 4}
    alone = rasched("compare", "one")
    assert alone.code == 0 and "a single seed" in " ".join(alone.out.split())


def test_failed_and_unfinished_runs_are_not_counted_but_said(rasched: Callable[..., Any], two_sweeps: Path) -> None:
    record = next(two_sweeps.glob("kelly/0_*/run.json"))
    write_json(record, {**read_json(record), "status": "failed"})
    shutil.rmtree(next(two_sweeps.glob("kelly/1_*")))
    said = rasched("compare", "none", "kelly")
    assert said.code == 0
    assert "1 run is failed and not counted (rule=kelly: 1)" in said.out
    assert "1 run is missing and not counted (rule=kelly: 1)" in said.out


def test_a_damaged_file_is_named_and_the_rest_compared(rasched: Callable[..., Any], two_sweeps: Path) -> None:
    path = next(two_sweeps.glob("kelly/0_*/run.json"))
    path.write_text("{")
    said = rasched("compare", "none", "kelly", "--json")
    assert said.code == 3
    assert said.err.startswith("rasched: warning: ") and str(path.relative_to(two_sweeps)) in said.err
    assert {row["variant"]["rule"]: row["runs"] for row in said.json} == {"none": 3, "kelly": 2}


@pytest.mark.parametrize("metric", ["regret_total", "train/reward:area", "train/regret:steps_to=0.5", "train/lr:max"])
def test_any_score_or_curve_can_be_compared(rasched: Callable[..., Any], two_sweeps: Path, metric: str) -> None:
    assert rasched("compare", "none", "kelly", "--metric", metric, "--json").json[0]["runs"] == 3


def test_the_last_tenth_of_a_column_is_the_score_of_that_name(rasched: Callable[..., Any], two_sweeps: Path) -> None:
    column = rasched("compare", "none", "kelly", "--metric", "train/reward", "--json").json
    score = rasched("compare", "none", "kelly", "--metric", "reward_last_tenth", "--json").json
    assert [row["iqm"] for row in column] == pytest.approx([row["iqm"] for row in score], abs=1e-12)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["empty"], "empty holds no run"),
        (["foreign"], "foreign holds no run"),
        (["running"], "running holds no finished run"),
        (["none", "--metric", "regret_totl"], "did you mean 'regret_total'?"),
        (["none", "--metric", "train/rewad"], "no run of none has train/rewad; columns of the metrics: train/"),
        (["none", "--metric", "train/reward:median"], "'median' is no statistic of a column; known: last_tenth"),
        (["none", "--metric", "train/reward:steps_to"], "takes a threshold, as in train/reward:steps_to=0.9"),
        (["none", "--metric", "train/reward:steps_to=x"], "the threshold must be a number, got 'x'"),
        (["none", "--by", "agnt"], "--by agnt: these runs have no such override"),
        (["none", "--baseline", "rule=trend"], "--baseline rule=trend is none of these variants"),
        (["none", "--json", "--csv"], "exclude one another"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(
    rasched: Callable[..., Any], two_sweeps: Path, words: list[str], sentence: str
) -> None:
    (two_sweeps / "empty").mkdir()
    (two_sweeps / "foreign").mkdir()
    (two_sweeps / "foreign/notes.txt").write_text("mine")
    (two_sweeps / "running").mkdir()
    (two_sweeps / "running/run.json").write_text('{"status": "running"}')
    said = rasched("compare", *words)
    assert said.code == 2
    assert sentence in said.err and said.err.count("\n") == 1
    assert said.out == ""
