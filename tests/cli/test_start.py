"""What a command costs before it does anything."""

import statistics
import subprocess
import sys
import time

from processes import environment


def _seconds(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment(), check=True, capture_output=True)
    return time.perf_counter() - start


def test_help_takes_at_most_twice_the_import_of_typer() -> None:
    ours, theirs = [], []
    for _ in range(9):  # side by side: the machine's noise meets both
        theirs.append(_seconds("-c", "import typer"))
        ours.append(_seconds("-m", "rasched.cli", "--help"))
    assert statistics.median(ours) <= 2 * statistics.median(theirs)


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
