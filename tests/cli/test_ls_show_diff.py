"""``rasched ls``, ``show`` and ``diff``, and the same from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rasched as package


@pytest.fixture
def outputs(rasched: Callable[..., Any], here: Path) -> Path:
    words = ("sweep", "rule=none,kelly", "seed=range(0,2)", "steps=30", "hydra.sweep.dir=out/many")
    assert rasched(*words).code == 0
    assert rasched("run", "seed=5", "steps=40", "control=false", "logger.plot=false", "hydra.run.dir=out/one").code == 0
    return here


def test_ls_has_a_line_per_sweep_and_run(rasched: Callable[..., Any], outputs: Path) -> None:
    told = rasched("ls", "out", "--json").json
    assert [(entry["folder"], entry["kind"], entry["status"], entry["runs"]) for entry in told] == [
        ("out/many", "sweep", "done", 4),
        ("out/one", "run", "done", 1),
    ]
    plain = rasched("ls", "out")
    assert plain.code == 0 and "out/many" in plain.out and "seed=5 steps=40" in plain.out
    inside = rasched("ls", "out/many", "--sort", "score", "--json").json
    assert [entry["kind"] for entry in inside] == ["run"] * 4
    assert [entry["score"] for entry in inside] == sorted((entry["score"] for entry in inside), reverse=True)
    assert rasched("ls", "out", "--failed", "--json").json == []


def test_show_repeats_a_run_and_a_sweep(rasched: Callable[..., Any], outputs: Path) -> None:
    one = rasched("show", "out/one")
    assert one.code == 0 and "reward_last_tenth" in one.out and "seed=5 steps=40" in one.out
    many = rasched("show", "out/many")
    assert rasched("compare", "out/many").out in many.out and "4 runs, 4 done" in many.out


def test_diff_names_what_differs(rasched: Callable[..., Any], outputs: Path) -> None:
    (none,) = outputs.glob("out/many/0_*")
    told = rasched("diff", str(none), "out/one", "--json").json
    assert told["rule.name"] == ["none", "kelly"] and told["steps"] == [30, 40] and told["rule.gain"] == [None, 0.2]
    assert "commit" not in told and "env.name" not in told
    same = rasched("diff", "out/one", "out/one")
    assert same.code == 0 and "have the same settings" in same.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ls", "nowhere"], "there is no folder nowhere"),
        (["ls", "empty"], "empty holds no run"),
        (["ls", "empty", "--sort", "size"], "--sort size is unknown; known: name, age, score, status"),
        (["show", "empty"], "empty holds no run"),
        (["diff", "empty", "empty"], "empty holds no run"),
    ],
)
def test_a_mistake_is_one_sentence(rasched: Callable[..., Any], here: Path, words: list[str], sentence: str) -> None:
    (here / "empty").mkdir()
    said = rasched(*words)
    assert (said.code, said.out) == (2, "") and sentence in said.err


def test_python_does_what_the_commands_do_with_the_same_bytes(rasched: Callable[..., Any], outputs: Path) -> None:
    one = package.run({"seed": 5, "steps": 40, "control": False, "logger.plot": False, "hydra.run.dir": "again"})
    assert (outputs / "again/metrics.parquet").read_bytes() == (outputs / "out/one/metrics.parquet").read_bytes()
    assert len(one) == 1 and one[0].scores == package.load("out/one")[0].scores
    told = rasched("compare", "out/many", "--json").json
    for name, overrides in {
        "combinations": {"rule": ["none", "kelly"], "seed": range(2), "steps": 30, "hydra.sweep.dir": "combinations"},
        "lines": ["rule=none,kelly", "seed=0..1", "steps=30", "hydra.sweep.dir=lines"],
    }.items():
        many = package.sweep(overrides, num_workers=1)
        assert many.compare().as_dicts() == told == package.load(name).compare().as_dicts()
    jobs = [{"rule": rule, "seed": seed, "steps": 30} for rule in ("none", "kelly") for seed in range(2)]
    assert package.sweep(jobs, num_workers=1).compare().as_dicts() == told
    assert many.runs["rule.name"].to_list() == ["none", "none", "kelly", "kelly"]
    assert many.metrics("train/lr").collect().height == 4 * 30


def test_diff_of_two_sweeps_compares_each_variant_on_the_same_seeds(rasched: Callable[..., Any], here: Path) -> None:
    for name, words in {"a": ("rule=none,kelly", "steps=30"), "b": ("rule=none,trend", "steps=40")}.items():
        assert rasched("sweep", *words, "seed=0,1,2", f"hydra.sweep.dir={name}", "-j", "1").code == 0
    result = rasched("diff", "a", "b", "--json").json
    assert result["entries"]["steps"] == [[30], [40]] and result["score"] == "reward_last_tenth"
    by_rule = {row["variant"]["rule"]: row for row in result["variants"]}
    assert set(by_rule) == {"none", "kelly", "trend"}
    assert by_rule["kelly"]["second"] is None and by_rule["trend"]["first"] is None
    scores = [
        [run.scores["reward_last_tenth"] for run in package.load(name) if "rule=none" in run.overrides]
        for name in ("a", "b")
    ]
    difference = by_rule["none"]["difference"]
    assert difference["pairs"] == 3
    assert difference["difference"] == pytest.approx(sum(scores[1]) / 3 - sum(scores[0]) / 3)
    plain = rasched("diff", "a", "b")
    assert plain.code == 0 and "rule=none" in plain.out and "steps" in plain.out
    same = rasched("diff", "a", "a").out
    assert "have the same settings, versions and commit" in same
    assert "all 2 variants have the same scores on the same seeds" in same


def test_diff_takes_two_of_a_kind(rasched: Callable[..., Any], outputs: Path) -> None:
    mixed, empty = rasched("diff", "out/many", "out/one"), rasched("diff", "out/many", str(outputs / "nothing"))
    assert mixed.code == 2 and "out/many and out/one are a run and a sweep" in mixed.err
    assert empty.code == 2 and len(empty.err.splitlines()) == 1
