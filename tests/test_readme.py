"""Every snippet of README and of the pages on rules and on the runner is run, and their tables are true."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from rasched.cli.app import app
from rasched.rules import RULES
from rasched.validation import defaults

ROOT = Path(__file__).parent.parent
README, RULES_PAGE, RUNNER_PAGE = (
    ROOT / "README.md",
    ROOT / "rasched/rules/README.md",
    ROOT / "rasched/runner/README.md",
)
PAGES = [README, RULES_PAGE, RUNNER_PAGE, ROOT / "tests/README.md", *ROOT.glob("experiments/**/README.md")]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def names_taken_for_granted() -> dict[str, Any]:
    """Return what the README's loop needs: a model, data and a reward."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)

    def compute_loss_and_reward(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss = (model(batch) - 1).square().mean()
        return loss, -loss.detach()

    return {
        "model": model,
        "dataloader": torch.randn(5, 8, 3),
        "compute_loss_and_reward": compute_loss_and_reward,
        "torch": torch,
    }


def test_every_python_block_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = names_taken_for_granted()
    loop, saving = blocks(README, "python")
    exec(compile(loop, str(README), "exec"), names)
    scheduler = names["scheduler"]
    assert scheduler.num_observed == 5
    assert scheduler.get_last_lr()[0] != 5e-5
    exec(compile(saving, str(README), "exec"), names)
    assert (tmp_path / "state.pt").exists()
    (rule,) = blocks(RULES_PAGE, "python")
    exec(compile(rule, str(RULES_PAGE), "exec"), names)
    assert names["scheduler"].state_dict()["rule"] == "countgood"


def _commands(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "bash")).splitlines()
    return [line for line in lines if line.startswith("rasched ")]


@pytest.mark.parametrize("line", [*_commands(README), *_commands(RUNNER_PAGE)])
def test_every_command_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    argv = shlex.split(line, comments=True)[1:]
    command = argv[0]
    if command in ("run", "sweep"):
        # another launcher's package need not be installed: the rest of the line is what is checked
        argv = [word for word in argv if not word.startswith(("hydra/launcher=", "hydra.launcher."))]
        argv += ["--dry-run"] if argv != shlex.split(line, comments=True)[1:] else ["steps=60"]
    if command not in ("run", "sweep", "list", "study", "bench"):  # these read a folder of runs
        _invoke(["run", "steps=20"])
        (folder,) = tmp_path.glob("outputs/*/*")
        argv = [word.replace("outputs/<date>/<time>", str(folder)).replace("FOLDER", str(folder)) for word in argv]
    if command == "board":
        monkeypatch.setattr(os, "execv", lambda program, words: None)
    if command == "study":
        argv += ["steps=3"]
    if "--config-dir" in argv:
        _write_own_rule(tmp_path, monkeypatch)
    _invoke(argv)


def _invoke(argv: list[str]) -> None:
    result = CliRunner().invoke(app, argv, prog_name="rasched")
    assert result.exit_code == 0, (argv, result.stderr)


def _write_own_rule(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the two files of the page: the class of the page on rules, and the YAML file that names it."""
    (rule,) = blocks(RULES_PAGE, "python")
    (folder / "my_rules.py").write_text(rule.split("\nscheduler =")[0])
    monkeypatch.syspath_prepend(str(folder))
    (text,) = blocks(RUNNER_PAGE, "yaml")
    path = folder / re.match(r"# (\S+)", text)[1]  # type: ignore[index]
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_the_table_of_rules_names_every_setting_and_default() -> None:
    text = RULES_PAGE.read_text()
    for name in ("kelly", "none", "scaling", "trend", "variance"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        for setting, value in defaults(RULES.get(name)).items():
            assert f"`{name}_{setting}`" in row and re.search(rf"= {value:g}\b", row), (name, setting)


def test_the_exit_codes_of_the_page_are_those_of_the_command() -> None:
    codes = re.findall(r"^\| ([\d, ]+) \| ([^|;:]+)", RUNNER_PAGE.read_text(), re.MULTILINE)
    help_text = " ".join(CliRunner().invoke(app, ["--help"], prog_name="rasched").stdout.split())
    assert [code for code, _ in codes] == ["0", "1", "2", "3", "130, 143"]
    for code, meaning in codes[:4]:
        assert f"{code} {meaning.strip()}" in help_text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_picture_and_page_that_is_linked_exists(page: Path) -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_script_that_a_page_names_exists() -> None:
    for page in PAGES:
        for script in re.findall(r"python ((?:tests|experiments)/[\w/]+\.py)", page.read_text()):
            assert (ROOT / script).is_file(), (page, script)


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 150
