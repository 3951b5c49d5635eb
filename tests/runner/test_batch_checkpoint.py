"""A batch that was stopped continues from its checkpoint, with the bytes of one that was not."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.errors import RunFailed, Terminated
from rasched.records.metrics import METRICS
from rasched.records.provenance import GitState
from rasched.records.run_json import read_record
from rasched.runner import worker_pool
from rasched.runner.batch_checkpoint import BATCHES_DIR, BatchCheckpoint, find_batches
from rasched.runner.batching import make_batches
from rasched.runner.interrupts import INTERRUPTS
from rasched.runner.progress import ProgressReporter
from rasched.runner.run_batch import train_batch
from rasched.runner.run_spec import RunSpec, make_run_specs

SWEEPS = {
    "bandit": ["steps=60"],
    "a2c": [
        "agent=a2c",
        "env.num_envs=1",
        "signal=episodes",
        "eval.every=0",
        "steps=400",
        "agent.n_steps=8",
        "agent.hidden=[8]",
    ],
    "ppo": [
        "agent=ppo",
        "steps=400",
        "agent.n_steps=32",
        "agent.batch_size=32",
        "agent.n_epochs=2",
        "agent.hidden=[8]",
    ],
    "dqn": [
        "agent=dqn",
        "signal=episodes",
        "eval.every=0",
        "steps=300",
        "agent.learning_starts=40",
        "agent.buffer_size=500",
        "agent.hidden=[8]",
    ],
    "reinforce": ["env=gym", "env.id=CartPole-v1", "agent.n_steps=40", "steps=400", "agent.hidden=[8]"],
}


class StopAt(ProgressReporter):
    """Sends this process a signal at a row."""

    def __init__(self, row: int | None = None, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self._row, self._number, self._count = row, number, 0

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        self._count += 1
        if self._count == self._row:
            signal.raise_signal(self._number)


def specs_of(folder: Path, overrides: Sequence[str], runs: int = 3) -> list[RunSpec]:
    jobs = JobComposer(Composer.open(), [])
    rules = ("kelly", "none", "trend")
    made = [jobs.compose([f"rule={rules[i % 3]}", f"seed={i}", *overrides], i) for i in range(runs)]
    batches, _ = make_batches(make_run_specs(made), 1)
    (batch,) = batches
    folder.mkdir()
    return list(batch.in_folder(folder).specs)


def tables(specs: Sequence[RunSpec]) -> list[bytes]:
    return [(spec.folder / METRICS).read_bytes() for spec in specs]


@pytest.fixture
def git(tmp_path: Path) -> GitState:
    return GitState(tmp_path)


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("runs", [1, 3])
def test_a_stopped_batch_continues_with_the_same_bytes(tmp_path: Path, git: GitState, name: str, runs: int) -> None:
    whole = specs_of(tmp_path / "whole", SWEEPS[name], runs)
    train_batch(whole, ProgressReporter(), git)
    cut = specs_of(tmp_path / "cut", SWEEPS[name], runs)
    with INTERRUPTS.handled(), pytest.raises(Terminated):
        train_batch(cut, StopAt(4), git)
    assert [read_record(spec.folder)["status"] for spec in cut] == ["interrupted"] * runs
    again = [replace(spec, is_retry=True) for spec in cut]
    state = BatchCheckpoint(again).load()
    assert state is not None and 0 < state["step"] < cut[0].settings.steps
    progress = StopAt()
    results = train_batch(again, progress, git)
    assert all(result.is_done for result in results)
    assert tables(whole) == tables(cut)
    assert not (tmp_path / "cut" / BATCHES_DIR).exists() and not list(tmp_path.rglob("checkpoint*"))
    assert [read_record(spec.folder)["scores"] for spec in cut] == [read_record(s.folder)["scores"] for s in whole]


def test_a_batch_is_saved_by_steps_and_found_again(tmp_path: Path, git: GitState) -> None:
    cut = specs_of(tmp_path / "cut", ["steps=60", "logger.checkpoint_every=20", "logger.checkpoint_seconds=null"])

    class Kill(StopAt):
        def step(self, step: int, columns: Mapping[str, Any]) -> None:
            if step == 50:
                raise SystemError("stands for a kill")

    batch = [replace(spec, batched=True) for spec in cut]
    with pytest.raises(SystemError):
        from rasched.runner.run_batch import _BatchRun

        _BatchRun(batch, Kill(), git).run()
    (found,) = find_batches(cut, {cut[1].folder})
    assert [spec.folder for spec in found.specs] == [spec.folder for spec in cut]
    state = BatchCheckpoint(found.specs).load()
    assert state is not None and state["step"] == 40
    assert find_batches(cut, ()) == [] and not (tmp_path / "cut" / BATCHES_DIR).exists()


def test_a_damaged_checkpoint_of_a_batch_is_said_and_its_runs_start_again(tmp_path: Path, git: GitState) -> None:
    whole = specs_of(tmp_path / "whole", SWEEPS["bandit"])
    train_batch(whole, ProgressReporter(), git)
    cut = specs_of(tmp_path / "cut", SWEEPS["bandit"])
    with INTERRUPTS.handled(), pytest.raises(Terminated):
        train_batch(cut, StopAt(9), git)
    (rows,) = (tmp_path / "cut" / BATCHES_DIR).glob("*.rows")
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.warns(RuntimeWarning, match="relies on .*training starts again"):
        train_batch([replace(spec, is_retry=True) for spec in cut], ProgressReporter(), git)
    assert tables(whole) == tables(cut)


def test_a_full_disk_is_no_reason_to_split_a_batch(
    tmp_path: Path, git: GitState, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = specs_of(tmp_path / "full", SWEEPS["bandit"])
    calls = []

    def full(folder: Path, table: Any) -> int:
        calls.append(folder)
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / METRICS))

    monkeypatch.setattr("rasched.records.writers.write_metrics", full)
    with pytest.raises(RunFailed, match="No space left on device.*rasched resume"):
        train_batch(specs, ProgressReporter(), git)
    assert len(calls) == 1
    for spec in specs:
        record = read_record(spec.folder)
        assert record["status"] == "failed" and record["exit_code"] == 3
        assert "No space left on device" in record["error"] and str(tmp_path / "full") in record["error"]


def test_halves_of_a_dead_workers_batch_leave_no_checkpoint_of_the_whole(
    tmp_path: Path, git: GitState, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = specs_of(tmp_path / "out", SWEEPS["bandit"])
    with INTERRUPTS.handled(), pytest.raises(Terminated):
        train_batch(specs, StopAt(4), git)
    assert find_batches(specs, {spec.folder for spec in specs})
    pool = worker_pool._Pool(1, ProgressReporter(), git, 0, ())
    process: Any = SimpleNamespace(join=lambda: None, exitcode=-9)
    pipe: Any = None
    dead = worker_pool._Worker(process, pipe, worker_pool._Task(specs))
    pool.workers.append(dead)
    pool._handle_death(dead)
    assert [len(task.specs) for task in pool.tasks] == [2, 1] and all(task.is_retry for task in pool.tasks)
    assert not (tmp_path / "out" / BATCHES_DIR).exists()
    assert find_batches(specs, {spec.folder for spec in specs}) == []
