"""A user's own rule, by an installed package's entry point and by a file of --config-dir."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_subprocess import environment

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings
from rasched.errors import UsageError

RULE = '''
from dataclasses import dataclass
from rasched import Rule


@dataclass(slots=True)
class Halve(Rule):
    """Divide the rate by `by` after every reward."""

    by: float = 2.0

    def observe(self, signal):
        pass

    def next_lr(self, lr, base_lr):
        return lr / self.by
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Make what `pip install` leaves of a package with one module and one entry point."""
    (tmp_path / "halving.py").write_text(RULE)
    info = tmp_path / "halving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rasched.rules]\nhalve = halving:Halve\n")
    return tmp_path


def _rasched(here: Path, package: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "rasched.cli", *words]
    return subprocess.run(line, cwd=here, env=environment(package), capture_output=True, text=True, check=False)


def test_an_installed_rule_is_used_and_listed_by_its_name(package: Path, tmp_path: Path) -> None:
    here = tmp_path / "work"
    here.mkdir()
    words = ("run", "-m", "--json", "rule=halve,kelly", "steps=5", "optimizer.lr=1")
    done = _rasched(here, package, *words)
    assert done.returncode == 0, done.stderr
    halved, _ = json.loads(done.stdout)["runs"]
    assert halved["scores"]["lr_last"] == 1 / 16
    wrong = _rasched(here, package, "run", "rule=halve", "rule.byy=3")
    assert wrong.returncode == 2
    assert "settings of rule=halve: by (did you mean 'by'?)" in wrong.stderr


def _settings(folder: Path, *lines: str) -> object:
    job = JobComposer(Composer.open(config_dir=str(folder)), []).compose(list(lines), 0)
    return run_settings(job.config).rule


def test_a_file_of_ones_own_names_a_class_or_new_settings_of_ours(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(package)
    (package / "rule").mkdir()
    (package / "rule/mine.yaml").write_text("_target_: halving.Halve\nby: 4\n")
    (package / "rule/bold.yaml").write_text("name: kelly\ngain: 0.9\ntemp: 1.0\n")
    assert repr(_settings(package, "rule=mine")) == "Halve(by=4.0)"
    assert repr(_settings(package, "rule=mine", "rule.by=8")) == "Halve(by=8.0)"
    assert repr(_settings(package, "rule=bold")) == "Kelly(gain=0.9, temp=1.0)"
    with pytest.raises(UsageError, match=r"rule\.by must be a number, got 'x'"):
        _settings(package, "rule=mine", "rule.by=x")


@pytest.mark.parametrize(
    "target", ["os.system", "nowhere.Rule", "halving.Nothing", "Halve", "rasched.envs.GaussianBandit"]
)
def test_a_file_can_name_nothing_but_a_class_of_the_right_kind(
    package: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.syspath_prepend(package)
    (package / "rule").mkdir()
    (package / "rule/mine.yaml").write_text(f"_target_: {target}\n")
    with pytest.raises(UsageError, match=f"rule._target_={target}"):
        _settings(package, "rule=mine")
