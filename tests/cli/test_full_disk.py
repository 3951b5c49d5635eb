"""A disk that is full stops a run and a sweep, which say so; with more room they end as if nothing had been."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMANDS = {
    "run": ("run", "steps=4000", "control=false", "logger.plot=false"),
    "sweep": ("sweep", "seed=range(0,6)", "optimizer=sgd,adam", "steps=1000", "-j", "2"),
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        is_mounted = False
    if not is_mounted:
        pytest.skip("this user may not mount a file system")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _tables(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("metrics.parquet")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that could not be completed
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_named_and_room_lets_it_go_on(
    rasched: Callable[..., Any], here: Path, small_disk: Path, command: str
) -> None:
    setting = f"hydra.{command}.dir"
    out = small_disk / "out"
    result = rasched(*COMMANDS[command], f"{setting}={out}")
    assert result.code == 3 and "Traceback" not in result.err
    sentence = result.err.splitlines()[-1]
    assert f"{small_disk}" in sentence and "No space left on device" in sentence and f"rasched resume {out}" in sentence
    index = out / ("run.json" if command == "run" else "sweep.json")
    assert json.loads(index.read_text())["status"] == "failed"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert rasched("resume", str(out)).code == 0
    assert rasched(*COMMANDS[command], f"{setting}=whole").code == 0
    assert _tables(out) == _tables(here / "whole")
