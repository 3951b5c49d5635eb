"""``rasched plot``: every kind of picture of a sweep, in both formats, and its refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from rasched.analysis.palette import rule_style


@pytest.fixture
def sweep(rasched: Callable[..., Any], here: Path) -> Path:
    words = ("sweep", "rule=none,kelly", "optimizer.lr=0.1,0.4", "seed=range(0,2)", "steps=30", "hydra.sweep.dir=s")
    assert rasched(*words).code == 0
    return here


def test_a_sweep_has_every_kind_of_picture_in_both_formats(rasched: Callable[..., Any], sweep: Path) -> None:
    for kind in ("curves", "robustness", "profile"):
        said = rasched("plot", "s", "--kind", kind)
        assert (said.code, said.out) == (0, f"s/{kind}.png\n"), said.err
        assert (sweep / f"s/{kind}.png").read_bytes().startswith(b"\x89PNG")
    assert rasched("plot", "s", "-o", "$a_b.svg").code == 0
    assert "<svg" in (sweep / "$a_b.svg").read_text(encoding="utf-8")
    one = next(sweep.glob("s/0_*"))
    assert rasched("plot", str(one)).code == 0 and (one / "lr_vs_reward.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["s", "--kind", "curve"], "--kind curve is unknown; known: curves, robustness, profile, runs (did you mean"),
        (["s", "-o", "a.bmp"], "--output a.bmp must end in one of .png, .svg, .pdf"),
        (["s", "-o", "nowhere/a.png"], "nowhere/a.png cannot be written"),
        (["one", "--kind", "robustness"], "needs several base rates"),
        (["nowhere"], "there is no folder nowhere"),
    ],
)
def test_a_mistake_is_one_sentence(rasched: Callable[..., Any], sweep: Path, words: list[str], sentence: str) -> None:
    next(sweep.glob("s/0_*")).rename(sweep / "one")
    said = rasched("plot", *words)
    assert (said.code, said.out) == (2, "") and sentence in said.err


def test_a_rule_has_the_same_colour_everywhere() -> None:
    assert len({rule_style(rule) for rule in ("none", "kelly", "trend", "scaling", "variance")}) == 5
    assert rule_style("somebody's own") == rule_style("somebody's own")


def test_every_kind_is_drawn_in_the_terminal_and_writes_no_file(
    rasched: Callable[..., Any], here: Path, sweep: Path
) -> None:
    files = set(here.rglob("*"))
    for kind in ("curves", "robustness", "profile", "runs"):
        result = rasched("plot", "s", "--kind", kind, "--show")
        assert result.code == 0 and "\u2524" in result.out and "rule=kelly" in result.out, result.err
        assert max(map(len, result.out.splitlines())) <= 80
    assert set(here.rglob("*")) == files


def test_a_picture_in_the_terminal_is_no_file(rasched: Callable[..., Any], here: Path) -> None:
    (here / "out").mkdir()
    result = rasched("plot", "out", "--show", "-o", "picture.png")
    assert result.code == 2 and "--show draws in the terminal and writes no file" in result.err


def test_curves_are_of_evaluations_if_there_are_any(rasched: Callable[..., Any], here: Path) -> None:
    words = ("sweep", "agent=a2c", "rule=kelly,none", "seeds=2", "steps=60", "env.num_envs=1", "signal=episodes")
    for name, every in (("with", 20), ("without", 0)):
        assert rasched(*words, f"eval.every={every}", "eval.episodes=1", f"hydra.sweep.dir={name}").code == 0
        with matplotlib.rc_context({"svg.fonttype": "none"}):
            assert rasched("plot", name, "-o", f"{name}.svg").code == 0
    assert "return in evaluation" in (here / "with.svg").read_text()
    assert "episode return" in (here / "without.svg").read_text()
