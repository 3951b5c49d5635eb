"""What a command costs before it does anything."""

import subprocess
import sys

from processes import environment


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from rasched.cli import app\n"
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
