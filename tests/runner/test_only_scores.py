"""Sweeps with logger=scores: the scores are those of a sweep that keeps all files, and no run leaves a file."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rasched.analysis.load import Results, load
from rasched.analysis.sweep_plots import plot_curves
from rasched.compose.composer import Composer
from rasched.errors import UsageError
from rasched.records.output_dir import lock_dir
from rasched.runner.batch_checkpoint import BATCHES_DIR
from rasched.runner.progress import ProgressReporter
from rasched.runner.resume import resume_sweep
from rasched.runner.run import plan_run
from rasched.runner.sweep import plan_sweep, sweep
from rasched.train.run_result import RunResult

# a batch, and four runs that cannot share one
LINES = ["rule=kelly,none", "seed=0,1", "steps=40", "optimizer=sgd,rprop"]


@functools.cache
def composer() -> Composer:
    return Composer.open()


def run_sweep(folder: Path, *lines: str, progress: ProgressReporter | None = None) -> Results:
    plan = plan_sweep(composer(), [*lines, f"hydra.sweep.dir={folder}"], num_workers=1)
    sweep(plan, progress or ProgressReporter())
    return load(folder)


def scores_of(results: Results) -> list[tuple[str, dict[str, float]]]:
    overrides = [[line for line in run.overrides if not line.startswith("logger")] for run in results]
    return [(" ".join(lines), run.scores) for lines, run in zip(overrides, results, strict=True)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_sweep(tmp_path_factory.mktemp("whole") / "out", *LINES)


@pytest.fixture(scope="module")
def only_scores(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_sweep(tmp_path_factory.mktemp("scores") / "out", *LINES, "logger=scores")


def test_the_scores_are_those_of_a_sweep_that_keeps_all_files(whole: Results, only_scores: Results) -> None:
    assert scores_of(only_scores) == scores_of(whole)
    assert all("regret_total" in run.scores for run in only_scores)
    ours, theirs = only_scores.runs, whole.runs
    same = ["seed", "status", "steps", "config_hash", "rule.name", "optimizer.lr", "regret_total", "commit"]
    assert ours.select(same).equals(theirs.select(same))


def test_no_run_leaves_a_file(only_scores: Results) -> None:
    (folder,) = only_scores.folders
    assert {path.name for path in folder.rglob("*")} <= {
        "multirun.yaml",
        "sweep.json",
        "scores.parquet",
        "uncommitted.diff",
    }


def test_the_table_for_other_programs_has_a_row_per_run(only_scores: Results) -> None:
    table = pl.read_parquet(only_scores.folders[0] / "scores.parquet")
    assert table["regret_total"].to_list() == [run.scores["regret_total"] for run in only_scores]
    assert table["folder"].to_list() == [run.folder.name for run in only_scores]


def test_variants_compare_as_in_a_sweep_that_keeps_all_files(whole: Results, only_scores: Results) -> None:
    assert only_scores.compare("regret_total").as_dicts() == whole.compare("regret_total").as_dicts()


def test_scores_draw_no_curves(only_scores: Results, tmp_path: Path) -> None:
    for needs_curves in (
        lambda: plot_curves(only_scores, tmp_path / "curves.png"),
        lambda: only_scores.metrics("train/reward"),
        lambda: only_scores.compare("train/reward:area"),
        lambda: only_scores[0].metrics,
    ):
        with pytest.raises(UsageError, match="has scores and no curves.*logger=scores.*train it again without"):
            needs_curves()
    with pytest.raises(UsageError, match=r"have no folders \(logger=scores\)"):
        load(only_scores[0].folder)


class _Interrupting(ProgressReporter):
    """Interrupts the sweep after its first batch, or in a batch at a step."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.at = step

    def complete(self, results: Sequence[RunResult]) -> None:
        if self.at is None:
            raise KeyboardInterrupt

    def step(self, step: int, columns: Any) -> None:
        if step == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [None, 30])
def test_a_stopped_sweep_ends_as_if_it_had_not_been(tmp_path: Path, only_scores: Results, step: int | None) -> None:
    lines = [*LINES, "logger=scores", "logger.checkpoint_every=20"]
    stopped = run_sweep(tmp_path / "cut", *lines, progress=_Interrupting(step))
    assert {run.status for run in stopped} == ({"done", "missing"} if step is None else {"interrupted", "missing"})
    assert (tmp_path / "cut" / BATCHES_DIR).is_dir() == (step is not None)
    resume_sweep(tmp_path / "cut", ProgressReporter(), num_workers=1)
    assert scores_of(load(tmp_path / "cut")) == scores_of(only_scores)
    assert {run.status for run in load(tmp_path / "cut")} == {"done"}
    assert not (tmp_path / "cut" / BATCHES_DIR).exists()


def test_batches_that_a_killed_sweep_completed_are_kept(tmp_path: Path) -> None:
    done = run_sweep(tmp_path / "out", "rule=kelly,none", "seed=0,1,2", "steps=10", "logger=scores")
    index = json.loads((tmp_path / "out" / "sweep.json").read_text())
    rows = index["runs"]
    (tmp_path / "out" / ".scores").mkdir()
    (tmp_path / "out" / ".scores" / "one.json").write_text(json.dumps({"runs": rows[:4]}))
    (tmp_path / "out" / ".scores" / "two.json").write_text("{")
    missing = [row | {"status": "missing", "scores": {}, "exit_code": None} for row in rows]
    del index["crc32"]
    (tmp_path / "out" / "sweep.json").write_text(json.dumps({**index, "status": "running", "runs": missing}))
    with pytest.warns(RuntimeWarning, match="two.json is left out, so its runs count as missing"):
        assert [run.status for run in load(tmp_path / "out")] == ["done"] * 4 + ["missing"] * (len(rows) - 4)
    with pytest.warns(RuntimeWarning, match="two.json is left out"):
        resume_sweep(tmp_path / "out", ProgressReporter(), num_workers=1)
    assert scores_of(load(tmp_path / "out")) == scores_of(done)
    with lock_dir(tmp_path / "out"):
        assert not (tmp_path / "out" / ".scores").exists()


def test_a_run_that_fails_is_in_the_index(tmp_path: Path) -> None:
    results = run_sweep(
        tmp_path / "out", "env.reward_std=1,1e308", "rule=scaling", "signal=raw", "steps=30", "logger=scores"
    )
    assert [run.status for run in results] == ["done", "failed"]
    assert results[1].error and results[0].error is None


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["logger=scores,default"], "logger.files must be the same for all runs"),
        (["seed=0,1", "logger=scores", "logger.video=true"], "logger.video must be false with logger.files=scores"),
        (["seed=0,1", "logger.files=score"], "logger.files must be .*all.*scores.*got 'score'"),
        (["seed=0,1", "logger=scores", "hydra/launcher=basic"], "add --runs-per-job N"),
    ],
)
def test_what_needs_files_is_refused(tmp_path: Path, lines: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        run_sweep(tmp_path / "out", *lines)
    assert not (tmp_path / "out").exists()


def test_a_single_run_keeps_its_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="logger=scores is for sweeps"):
        plan_run(composer(), ["logger=scores", f"hydra.run.dir={tmp_path}/out"])
    assert not (tmp_path / "out").exists()
