"""What a command costs before it does anything."""

import subprocess
import sys
from pathlib import Path

import pytest
from cli_subprocess import environment


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from rasched.cli.app import app\n"
        "try: app(['--help'], prog_name='rasched')\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'hydra', 'numpy', 'rich', 'polars', 'omegaconf') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], env=environment(), check=True, capture_output=True, text=True)
    assert said.stdout.splitlines()[-1] == "[]"


def test_the_version_is_one_line() -> None:
    line = [sys.executable, "-m", "rasched.cli", "--version"]
    said = subprocess.run(line, env=environment(), check=True, capture_output=True, text=True)
    assert said.stdout.startswith("rasched")
    assert len(said.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("workers", "expected"), [(None, "[False, None]"), (2, "[False, None]"), (1, "[True, 'PASSIVE']")]
)
def test_torch_is_left_to_the_workers_or_imported_in_our_way(
    tmp_path: Path, workers: int | None, expected: str
) -> None:
    code = (
        "import os, sys; from rasched.cli.run import SweepOptions, sweep_command\n"
        f"sweep_command(['seed=0,1', 'steps=20', 'logger.log_every=null'], SweepOptions(num_workers={workers}), True)\n"
        "print(['torch' in sys.modules, os.environ.get('OMP_WAIT_POLICY')])"
    )
    env = {name: value for name, value in environment().items() if name != "OMP_WAIT_POLICY"}
    line = [sys.executable, "-c", code]
    said = subprocess.run(line, env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert said.stdout.splitlines()[-1] == expected
