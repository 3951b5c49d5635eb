"""Checkpoints: what a kill, a cut or a flipped byte may do to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rasched.records import checkpoint

STATE = {
    "step": 3,
    "rule": {"factor": 1.5, "name": "kelly"},
    "weights": [torch.arange(6.0).reshape(2, 3)],
    "none": None,
}


def saved_twice(folder: Path) -> Path:
    path = folder / "checkpoint.pt"
    checkpoint.save(path, STATE | {"step": 1})
    checkpoint.save(path, STATE | {"step": 2})
    return path


def assert_falls_back(path: Path, reason: str) -> None:
    with pytest.warns(RuntimeWarning, match=reason):
        assert checkpoint.load(path)["step"] == 1


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "checkpoint.pt", STATE)
    state = checkpoint.load(tmp_path / "checkpoint.pt")
    assert torch.equal(state.pop("weights")[0], STATE["weights"][0])
    assert state == {key: value for key, value in STATE.items() if key != "weights"}


def test_plain_torch_load_reads_a_checkpoint_too(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "checkpoint.pt", STATE)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 3


def test_the_previous_checkpoint_is_kept_and_no_other(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    checkpoint.save(path, STATE)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.previous.pt", "checkpoint.pt"]
    assert checkpoint.load(checkpoint.previous(path))["step"] == 2


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert_falls_back(path, "do not match their checksum")
    path.write_bytes(whole)
    assert checkpoint.load(path)["step"] == 2


@pytest.mark.parametrize("left", [0, 1, 31, 32, 100, -1])
def test_a_file_cut_short_is_found(tmp_path: Path, left: int) -> None:
    path = saved_twice(tmp_path)
    path.write_bytes(path.read_bytes()[:left])
    assert_falls_back(path, "cut short or changed")


def test_a_kill_between_the_two_renames_costs_one_checkpoint(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    path.unlink()
    assert_falls_back(path, "is missing")


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(path, {"step": 3, "bad": lambda: None})
    assert checkpoint.load(path)["step"] == 2


def test_without_any_whole_checkpoint_both_reasons_are_told(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    path.write_bytes(b"PK")
    checkpoint.previous(path).write_bytes(b"")
    with pytest.raises(checkpoint.CheckpointError, match="checkpoint.pt cannot.*checkpoint.previous.pt cannot"):
        checkpoint.load(path)


def test_no_checkpoint_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        checkpoint.load(tmp_path / "checkpoint.pt")


def test_what_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"path": Path("x")})  # any class that is not plain data
    with pytest.raises(checkpoint.CheckpointError, match="cannot be used"):
        checkpoint.load(path)


def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    endless = (
        "import torch; from rasched.records import checkpoint\n"
        f"for step in range(10**9): checkpoint.save({str(path)!r}, {{'step': step, 'x': torch.full((50_000,), step)}})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", endless], env=environment)
    deadline = time.monotonic() + 30
    while not checkpoint.previous(path).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)
    process.kill()
    process.wait()
    state = checkpoint.load(path) if path.exists() else checkpoint.load(checkpoint.previous(path))
    assert (state["x"] == state["step"]).all()
