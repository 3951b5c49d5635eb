"""One command at a time writes into a folder, a full disk stops a sweep, and no process outlives its parent."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_subprocess import ROOT, environment, start


def _until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (result := condition()):
        assert time.monotonic() < deadline, "nothing happened for two minutes"
        time.sleep(0.02)
    return result


def test_a_run_that_is_alive_is_left_alone(rasched: Callable[..., Any], here: Path) -> None:
    process = start(here, "run", "steps=10000000", "hydra.run.dir=one", "logger.plot=false")
    _until(lambda: (here / "one/run.json").exists())
    result = rasched("resume", "one")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert result.code == 2 and "is being worked on by another process" in result.err
    assert process.returncode == 130
    assert json.loads((here / "one/run.json").read_text())["status"] == "interrupted"


def test_a_full_disk_stops_a_sweep_without_a_retry(
    rasched: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rasched.records.recorder import Recorder

    attempts = []

    def close(self: Any) -> None:
        attempts.append(self)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/0/metrics.parquet")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "close", close)
        result = rasched("sweep", "seed=0,1,2,3", "steps=5", "hydra.sweep.dir=out", "-j", "1")
    assert result.code == 3
    assert "out/0/metrics.parquet cannot be written (No space left on device)" in result.err
    assert "go on with: rasched resume " in result.err
    assert len(set(map(id, attempts))) == 1
    records = [json.loads(path.read_text()) for path in (here / "out").glob("*/run.json")]
    assert {record["status"] for record in records} == {"failed"}
    assert rasched("resume", "out").code == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize("delay", [0.1, 1.0, 4.0])
def test_no_process_outlives_its_parent(here: Path, delay: float) -> None:
    process = start(here, "sweep", "seed=0,1", "optimizer=sgd,adam", "steps=10000000", "hydra.sweep.dir=out")
    time.sleep(delay)
    family = _descendants(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while any(_is_alive(pid) for pid in family):
        assert time.monotonic() < deadline, "a process outlives its parent"
        time.sleep(0.02)
    process.communicate()


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return children + [grandchild for child in children for grandchild in _descendants(child)]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _take_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a suite that runs in the background ignores it, and so would we


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.8])
def test_ctrl_c_during_the_imports_ends_without_a_traceback(here: Path, delay: float) -> None:
    code = "import os, sys; print('ready', flush=True); from rasched.cli import main; main()"
    line = [sys.executable, "-c", code, "run", "steps=10000000", "logger.plot=false"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        line, cwd=here, env=environment(), stdout=pipe, stderr=pipe, text=True, preexec_fn=_take_ctrl_c
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay + 0.2)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:  # a module may swallow an exception in its import: one presses Ctrl-C again
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err


APPLICATION = """
import hydra


@hydra.main(version_base="1.3", config_path=None)
def train(config):
    print("trained")


train()
"""


def test_another_application_gets_one_sentence_from_our_launcher(here: Path) -> None:
    (here / "app.py").write_text(APPLICATION)
    code = "from rasched.compose import plugins; plugins.register(); exec(open('app.py').read())"
    (here / "start.py").write_text(code)
    launcher = "+hydra.launcher._target_=hydra_plugins.rasched.BatchedLauncher"
    line = [sys.executable, "start.py", "-m", "+seed=0,1", launcher.removeprefix("+")]
    env = environment(ROOT / "rasched/_top_level")
    result = subprocess.run(line, cwd=here, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "Traceback" not in result.stderr, result
    assert "hydra/launcher=batched trains only rasched's own runs" in result.stderr
    assert "trained" not in result.stdout
