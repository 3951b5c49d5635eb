"""Completion knows groups, choices, keys and values, in each shell's own way of asking."""

import shutil

import pytest
from typer.testing import CliRunner

from rasched.cli.app import app
from rasched.cli.completion import candidates
from rasched.compose.schema import conf_dir

RULE_NAMES = sorted(path.stem for path in (conf_dir() / "rule").glob("*.yaml"))
RULES = [f"rule={name}" for name in RULE_NAMES]


@pytest.mark.parametrize(
    ("incomplete", "found"),
    [
        ("rule=", RULES),
        ("rule=t", ["rule=trend"]),
        ("rule=kelly,t", ["rule=kelly,trend"]),
        ("optimizer.l", ["optimizer.lr=0.1"]),
        ("step", ["steps=2000"]),
        (
            "scheduler.m",
            ["scheduler.max_lr=", "scheduler.max_momentum=", "scheduler.min_lr=", "scheduler.min_momentum="],
        ),
        ("nothing_like_it", []),
    ],
)
def test_an_override_is_completed(incomplete: str, found: list[str]) -> None:
    assert candidates([], incomplete) == found


def test_keys_are_those_of_the_choices_before() -> None:
    assert "rule.up=" in candidates(["rule=trend"], "rule.")
    assert "rule.gain=" in candidates(["-m", "rule=kelly", "seed=1,2"], "rule.")


def _ask(environment: dict[str, str]) -> list[str]:
    # the shells' scripts call the program without arguments and pass the words in the environment
    result = CliRunner().invoke(app, [], prog_name="rasched", env=environment)
    return [line for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize("typed", ["rule=t", "rule=", "seed=1 rule=t", "-m seed=1,2 rule=t"])
def test_zsh_gets_whole_words(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RASCHED_COMPLETE", "complete_zsh")
    said = "\n".join(_ask({"_RASCHED_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"rasched run {typed}"}))
    assert '"rule=trend"' in said


def test_fish_gets_whole_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RASCHED_COMPLETE", "complete_fish")
    asked = {"_RASCHED_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert _ask({**asked, "_TYPER_COMPLETE_ARGS": "rasched run rule="}) == RULES


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "replies"),
    [
        (["ru"], ["rule.", "rule="]),
        (["rule", "="], RULE_NAMES),
        (["rule", "=", "t"], ["trend"]),
        (["rule", "=", "trend", "rule.u"], ["rule.up=1.05"]),
        (["seed", "=", "1", "rule", "=", "kelly,t"], ["kelly,trend"]),
    ],
)
def test_bash_gets_what_stands_behind_its_word_break(
    words: list[str], replies: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_RASCHED_COMPLETE", "complete_bash")
    asked = ["rasched", "run", *words]
    monkeypatch.setenv("COMP_WORDS", "\n".join(asked))
    monkeypatch.setenv("COMP_CWORD", str(len(asked) - 1))
    found = _ask({"_RASCHED_COMPLETE": "complete_bash"})
    assert found == replies


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_shown_for_each_shell(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shellingham = pytest.importorskip("shellingham")  # Typer asks it, and it asks the process tree
    monkeypatch.setattr(shellingham, "detect_shell", lambda *args, **kwargs: (shell, f"/bin/{shell}"))
    result = CliRunner().invoke(app, ["--show-completion"], prog_name="rasched")
    assert "_RASCHED_COMPLETE" in result.stdout
