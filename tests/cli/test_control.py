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
