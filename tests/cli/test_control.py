"""The control of a single run: the same seed at a constant rate, which changes nothing of the run itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_run_has_the_same_bytes_with_and_without_a_control(rasched: Callable[..., Any], here: Path) -> None:
    for choice in ("true", "false"):
        words = ("run", "steps=50", "logger.plot=false", f"control={choice}", f"hydra.run.dir=control_{choice}")
        assert rasched(*words).code == 0
    assert (here / "control_true/metrics.parquet").read_bytes() == (here / "control_false/metrics.parquet").read_bytes()
    assert (here / "control_true/control/run.json").exists() and not (here / "control_false/control").exists()


def test_the_rule_none_is_its_own_control(rasched: Callable[..., Any], here: Path) -> None:
    assert rasched("run", "rule=none", "steps=20", "logger.plot=false", "hydra.run.dir=a").code == 0
    assert not (here / "a/control").exists()


def test_a_wrong_choice_is_one_sentence(rasched: Callable[..., Any]) -> None:
    result = rasched("run", "control=perhaps", "steps=20")
    assert (result.code, result.err) == (2, "rasched: control must be true, false or auto, got 'perhaps'\n")


def test_a_rate_that_never_changed_is_explained_with_the_setting_to_change(rasched: Callable[..., Any]) -> None:
    words = ("agent=ppo", "steps=64", "agent.n_steps=64", "agent.batch_size=32", "control=false", "logger.plot=false")
    result = rasched("run", "--json", *words)
    assert result.code == 0
    (warning,) = result.json["warnings"]
    assert "the learning rate stayed at 0.0003: " in warning and "lower agent.n_steps (now 64)" in warning


def test_show_prints_the_panel_with_the_numbers_of_run_and_control(rasched: Callable[..., Any]) -> None:
    words = ("steps=50", "logger.plot=false", "control=true", "hydra.run.dir=a")
    panel, shown = rasched("run", *words).out, rasched("show", "a")
    assert shown.code == 0
    assert shown.out.startswith(panel)
    assert "kelly " in panel and ", constant rate " in panel


def test_plot_draws_one_picture_of_a_run_and_its_control(rasched: Callable[..., Any], here: Path) -> None:
    rasched("run", "steps=50", "logger.plot=false", "control=true", "hydra.run.dir=a")
    assert rasched("plot", "a").out == rasched("plot", "a", "--kind", "runs").out == "a/lr_vs_reward.png\n"
    assert rasched("plot", "a/control").out == "a/control/lr_vs_reward.png\n"
    assert {path.name for path in here.rglob("*.png")} == {"lr_vs_reward.png"}


def test_a_rate_that_went_to_its_bound_at_once_is_explained(rasched: Callable[..., Any]) -> None:
    words = ("agent=ppo", "steps=256", "agent.n_steps=128", "agent.batch_size=2", "signal=raw", "rule=trend")
    (warning,) = rasched("run", "--json", *words, "control=false", "logger.plot=false").json["warnings"]
    assert warning == (
        "the learning rate went from 0.0003 to its bound 3e-06 before the first row and stayed there: "
        "choose signal=episodes, which observes the returns of episodes"
    )


def test_a_signal_that_never_changes_is_explained(rasched: Callable[..., Any]) -> None:
    words = ("agent=ppo", "steps=640", "agent.n_steps=64", "agent.batch_size=32", "signal.source=reward")
    (warning,) = rasched("run", "--json", *words, "control=false", "logger.plot=false").json["warnings"]
    assert warning == (
        "the rule observed 10 rewards, but the learning rate stayed at 0.0003, because the signal did not change: "
        "choose signal=episodes, which observes the returns of episodes"
    )
