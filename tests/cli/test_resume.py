"""Stopped and resumed: the files are those of a sweep, or a run, that was never stopped."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_subprocess import start

from rasched.records.run_json import read_json, write_json

# sixteen batches, so that a kill finds some done, some under way and some not begun
WORDS = ("optimizer=sgd,adam,adamw,rmsprop", "env=gaussian,bernoulli,drifting,switching", "seed=0,1,2", "steps=400")


def _tables(sweep: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sweep.glob("*/metrics.parquet")}


def _until(condition: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := condition():
            return found
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("nothing happened for two minutes")


def _done(sweep: Path) -> int:
    return sum('"status": "done"' in path.read_text() for path in sweep.glob("*/run.json"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    here = tmp_path_factory.mktemp("whole")
    process = start(here, "sweep", *WORDS, "hydra.sweep.dir=out", "-j", "1")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    yield _tables(here / "out")


def test_a_sweep_killed_in_the_middle_ends_as_if_it_had_not_been(
    rasched: Callable[..., Any], here: Path, uninterrupted: dict[str, bytes]
) -> None:
    process = start(here, "sweep", *WORDS, "hydra.sweep.dir=out", "-j", "2")
    _until(lambda: _done(here / "out") >= 20, process)
    process.kill()
    process.communicate()
    _until_free(here / "out")
    kept = {path: path.stat().st_mtime_ns for path in (here / "out").glob("*/metrics.parquet") if _is_done(path.parent)}
    assert 3 <= len(kept) < 48
    said = rasched("resume", "out", "--json", "-j", "2")
    assert said.code == 0, said.err
    assert {row["status"] for row in said.json["runs"]} == {"done"}
    assert _tables(here / "out") == uninterrupted
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    index = json.loads((here / "out/sweep.json").read_text())
    assert (index["status"], len(index["runs"])) == ("done", 48)
    leftovers = [
        path for path in (here / "out").rglob("*") if path.suffix == ".new" or path.name.startswith(".run.json")
    ]
    assert leftovers == [] and not list((here / "out").rglob("metrics.jsonl"))


def _is_done(folder: Path) -> bool:
    return '"status": "done"' in (folder / "run.json").read_text()


def _until_free(folder: Path) -> None:
    """Wait until the workers of a killed sweep have noticed: they hold its lock."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + 10
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            assert time.monotonic() < deadline, "workers outlive their sweep"
            time.sleep(0.02)
    os.close(handle)


def _workers(process: "subprocess.Popen[str]") -> list[int]:
    """Return the processes that have been forked from one that a sweep has started."""
    return [worker for server in _children(process.pid) for worker in _children(server)]


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_costs_its_own_runs_which_are_tried_again(here: Path, uninterrupted: dict[str, bytes]) -> None:
    process = start(here, "sweep", *WORDS, "hydra.sweep.dir=out", "-j", "2", "--json")
    _until(lambda: _done(here / "out") >= 3, process)
    os.kill(_workers(process)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert {row["status"] for row in json.loads(out)["runs"]} == {"done"}
    assert _tables(here / "out") == uninterrupted


def test_a_run_that_takes_its_process_along_leaves_its_neighbours_good(here: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "rule").mkdir(parents=True)
    (own / "deadly.py").write_text(
        "import os, signal, torch\nfrom dataclasses import dataclass\nfrom rasched import Rule\n\n\n"
        "@dataclass(slots=True)\nclass Deadly(Rule):\n    at: float = 0.0\n\n"
        "    def observe(self, signal_):\n"
        "        if bool(torch.as_tensor(self.at).eq(1).any()):\n            os.kill(os.getpid(), signal.SIGKILL)\n\n"
        "    def next_lr(self, lr, base_lr):\n        return lr\n"
    )
    (own / "rule/deadly.yaml").write_text("_target_: deadly.Deadly\nat: 0.0\n")
    words = ("--config-dir", str(own), "rule=deadly", "rule.at=0,1,2", "steps=20", "optimizer=sgd,adam")
    process = start(here, "sweep", *words, "--json", "-j", "2", paths=(own,))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3, err
    rows = json.loads(out)["runs"]
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed", "done", "done"]
    assert rows[2]["error"] == "its process was killed by signal 9, again"
    assert err.count("failed: rule=deadly rule.at=1") == 2


def test_resume_runs_what_is_not_done_and_nothing_else(rasched: Callable[..., Any], here: Path) -> None:
    assert rasched("sweep", "rule=kelly,trend", "seed=0,1,2", "steps=50", "hydra.sweep.dir=out").code == 0
    before = _tables(here / "out")
    runs = sorted((here / "out").glob("[0-9]*"))
    for path in (runs[0] / "metrics.parquet", runs[0] / "run.json"):
        path.unlink()  # missing
    for number, status in ((1, "running"), (2, "failed"), (3, "interrupted")):
        write_json(runs[number] / "run.json", read_json(runs[number] / "run.json") | {"status": status})
    (runs[4] / "run.json").write_text('{"status": "do')  # torn, as a cut of the power leaves it
    (runs[1] / "metrics.jsonl").write_text("of an earlier try")
    finished = {path: path.stat().st_mtime_ns for path in runs[5].rglob("*")}
    with pytest.warns(RuntimeWarning, match="run.json is damaged: it is no JSON"):
        said = rasched("resume", "out")
    assert said.code == 0, said.err
    assert _tables(here / "out") == before
    assert {path: path.stat().st_mtime_ns for path in runs[5].rglob("*")} == finished
    written = {path: path.stat().st_mtime_ns for path in (here / "out").glob("*/*")}
    assert rasched("resume", "out").code == 0
    assert {path: path.stat().st_mtime_ns for path in written if path.parent.name != "_summary"} == {
        path: moment for path, moment in written.items() if path.parent.name != "_summary"
    }


def test_a_changed_configuration_is_refused_by_the_name_of_what_changed(
    rasched: Callable[..., Any], here: Path
) -> None:
    (here / "own/rule").mkdir(parents=True)
    file = here / "own/rule/bold.yaml"
    file.write_text("name: kelly\ngain: 0.5\ntemp: 1.0\n")
    words = ("--config-dir", "own", "rule=bold", "steps=20")
    assert rasched("sweep", *words, "seed=0,1", "hydra.sweep.dir=out").code == 0
    assert rasched("run", *words, "hydra.run.dir=one").code == 0
    write_json(here / "one/run.json", read_json(here / "one/run.json") | {"status": "running"})
    file.write_text("name: kelly\ngain: 0.6\ntemp: 1.0\n")
    for folder in ("out", "one"):
        said = rasched("resume", folder, "--trust")
        assert said.code == 2
        assert "rule.gain was 0.5 and is 0.6 now; put it back" in said.err
    assert rasched("sweep", *words, "seed=0,1", "hydra.sweep.dir=out").code == 2  # nor is it written over


def test_what_is_neither_a_run_nor_a_sweep_cannot_be_resumed(rasched: Callable[..., Any], here: Path) -> None:
    assert "there is no folder nowhere" in rasched("resume", "nowhere").err
    (here / "empty").mkdir()
    assert "holds neither sweep.json nor run.json" in rasched("resume", "empty").err
    assert rasched("sweep", "seed=0,1", "steps=5", "hydra.sweep.dir=out").code == 0
    said = rasched("resume", str(next((here / "out").glob("0_*"))))
    assert said.code == 2 and "is one run of a sweep: rasched resume" in said.err


def test_a_folder_that_is_worked_on_is_left_alone(rasched: Callable[..., Any], here: Path) -> None:
    process = start(here, "sweep", "seed=0,1", "steps=10000000", "hydra.sweep.dir=out")
    _until(lambda: list((here / "out").glob("*/.hydra")), process)
    said = rasched("resume", "out")
    process.kill()
    process.communicate()
    assert said.code == 2
    assert "is being worked on by another process" in said.err


def test_a_killed_run_carries_on_bit_for_bit_from_its_checkpoint(rasched: Callable[..., Any], here: Path) -> None:
    words = (
        "run",
        "steps=6000",
        "env=drifting",
        "optimizer=adam",
        "logger.checkpoint_every=500",
        "logger.plot=false",
    )
    assert rasched(*words, "hydra.run.dir=whole").code == 0
    process = start(here, *words, "hydra.run.dir=cut")
    _until(lambda: (here / "cut/checkpoint.previous.pt").exists(), process)
    process.kill()
    process.communicate()
    assert json.loads((here / "cut/run.json").read_text())["status"] == "running"
    said = rasched("resume", "cut", "--json")
    assert said.code == 0, said.err
    assert said.json["steps"] == 6000
    whole, cut = ((here / name / "metrics.parquet").read_bytes() for name in ("whole", "cut"))
    assert whole == cut
    assert not (here / "cut/metrics.jsonl").exists()
    assert rasched("resume", "cut").out == "cut is finished: there is nothing to resume\n"
