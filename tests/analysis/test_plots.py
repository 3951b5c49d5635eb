"""The picture: what it must survive, and that what it shows is there."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasched.analysis.plots import COLUMNS, RunMarks, _ranges, _running_mean, lr_vs_reward


def metrics(steps: int, **columns: object) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    table = {"step": np.arange(1, steps + 1), "train/reward": rng.standard_normal(steps)}
    table["train/signal"] = rng.standard_normal(steps)
    table["train/lr"] = np.exp(np.cumsum(rng.standard_normal(steps) / 10))
    return pl.DataFrame(table).with_columns(**columns)


@pytest.mark.parametrize(
    "table",
    [
        metrics(1),
        metrics(3),
        metrics(300),
        metrics(30_000),
        metrics(300).with_columns(pl.lit(0.1).alias("train/lr")),
        metrics(300).drop("train/lr"),
        metrics(300).drop("train/reward"),
        metrics(300).drop("train/signal"),
        metrics(300).with_columns(pl.when(pl.col("step") % 30 == 0).then(1.0).alias("eval/return")),
        metrics(300).with_columns(pl.when(pl.col("step") % 30 == 0).then(pl.col("train/reward"))),
        metrics(300).with_columns(pl.when(pl.col("step") < 30).then(pl.col("^train.*$")).otherwise(float("inf"))),
    ],
    ids=[
        "one",
        "three",
        "short",
        "long",
        "flat",
        "no rate",
        "no reward",
        "no signal",
        "evaluated",
        "sparse",
        "diverged",
    ],
)
def test_every_kind_of_run_has_a_picture(tmp_path: Path, table: pl.DataFrame) -> None:
    lr_vs_reward(table, tmp_path / "lr_vs_reward.png", RunMarks("kelly", "reward", 0.1, (1e-3, 10.0), (500,), table))
    assert (tmp_path / "lr_vs_reward.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("table", [metrics(0), metrics(9).select("step"), metrics(2).with_columns(pl.all() * np.nan)])
def test_a_run_that_recorded_nothing_has_none_and_says_so(tmp_path: Path, table: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        lr_vs_reward(table, tmp_path / "lr_vs_reward.png")
    assert not list(tmp_path.iterdir())


def test_the_picture_can_be_a_vector_graphic(tmp_path: Path) -> None:
    lr_vs_reward(metrics(50_000), tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert len(text) < 1_000_000  # what is drawn does not grow with the run


@given(st.integers(1, 10_000))
def test_the_ranges_drawn_miss_no_extreme_value(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count)
    middles, lowest, highest = _ranges(np.arange(count), values)
    assert len(middles) <= 2 * COLUMNS and (np.diff(middles) > 0).all()
    assert lowest.min() == values.min() and highest.max() == values.max()


@given(st.integers(1, 400), st.integers(1, 60))
def test_the_running_mean_is_the_mean_of_its_window(count: int, window: int) -> None:
    values = np.random.default_rng(count).standard_normal(count)
    shown, means = _running_mean(np.arange(count), values, window)
    for centre, mean in zip(shown.astype(int), means, strict=True):
        around = values[max(centre - window // 2, 0) : centre + (window + 1) // 2]
        assert mean == pytest.approx(around.mean(), abs=1e-9)


def drawn(figure_path: Path, table: pl.DataFrame, marks: RunMarks) -> str:
    """Return the texts of a picture, which is written as SVG with text as text."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        lr_vs_reward(table, figure_path, marks)
    return figure_path.read_text(encoding="utf-8")


def test_the_picture_names_run_bounds_base_rate_switches_and_what_the_rule_observes(tmp_path: Path) -> None:
    config = {
        "rule": {"name": "kelly"},
        "signal": {"source": "reward", "normalize": "standardize", "ema_reward_beta": 0.9},
        "scheduler": {"min_lr": None, "max_lr": 5.0},
        "env": {"name": "switching", "switch_every": 100},
        "agent": {"name": "reinforce"},
        "optimizer": {"lr": 0.1},
        "steps": 300,
        "seed": 7,
    }
    marks = RunMarks.of(config)
    assert list(marks.switches) == [100, 200]
    text = drawn(tmp_path / "picture.svg", metrics(300), marks)
    for words in (
        "kelly on switching (reinforce, seed 7)",
        "base rate 0.1",
        "bounds 0.001, 5",
        "what the rule observes: reward, standardised, smoothed",
        "the task changes at the vertical lines",
    ):
        assert words in text
    constant = RunMarks.of({**config, "rule": {"name": "none"}})
    assert "what the rule observes" not in drawn(tmp_path / "none.svg", metrics(300), constant)


def test_a_run_with_episodes_is_drawn_by_its_returns(tmp_path: Path) -> None:
    table = metrics(300).with_columns(pl.col("step").cast(float).alias("rollout/ep_rew_mean"))
    assert "episode return" in drawn(tmp_path / "episodes.svg", table, RunMarks())
    assert "reward per step" in drawn(tmp_path / "steps.svg", metrics(300), RunMarks())
