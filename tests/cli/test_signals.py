"""Stopped runs: the exit code of the signal, and what was recorded is readable and says so."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cli_subprocess import start

from rasched.analysis.load import load_run

LONG = ("steps=10000000", "logger.plot=false")


def _wait_for_records(folder: Path, process: "subprocess.Popen[str]") -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        for journal in folder.glob("**/metrics.jsonl"):
            if journal.stat().st_size > 10_000:
                return journal.parent
        time.sleep(0.05)
    raise AssertionError("no records after a minute")


@pytest.mark.parametrize(
    ("number", "code", "reason"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_stopped_run_keeps_what_it_recorded(here: Path, number: int, code: int, reason: str) -> None:
    process = start(here, "run", *LONG)
    folder = _wait_for_records(here, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["exit_code"], record["error"]) == ("interrupted", code, reason)
    metrics = load_run(folder).metrics
    assert metrics["step"].to_list() == list(range(1, record["steps"] + 1))
    assert record["scores"]["reward_mean"] == pytest.approx(metrics["train/reward"].mean())


def test_a_stopped_sweep_says_which_runs_were_cut(here: Path) -> None:
    process = start(here, "run", "-m", "--json", "seed=0,1", "optimizer=sgd,adam", *LONG)
    deadline = time.monotonic() + 60
    while not list(here.glob("outputs/*/*/0_*/.hydra/hydra.yaml")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    said = json.loads(out)
    assert [run["status"] for run in said["runs"]] == ["interrupted", "missing", "interrupted", "missing"]
    index = json.loads(next(here.glob("outputs/*/*/sweep.json")).read_text())
    assert (index["status"], index["exit_code"]) == ("interrupted", 130)
    assert load_run(next(here.glob("outputs/*/*/0_*"))).metrics.height > 0
