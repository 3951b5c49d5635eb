"""The short form of the long checks, in a process of its own: it forks, and pytest's has threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "long/safety.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forked")
def test_what_is_stopped_or_damaged_resumes_exactly_or_says_why_not() -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), "short"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
