"""Checkpoints: what a kill, a cut or a flipped byte may do to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rasched.errors import CheckpointError
from rasched.records.checkpoint import load_checkpoint, previous_path, save_checkpoint, seal

HASH = "0123456789abcdef"
STATE = {
    "step": 3,
    "rule": {"factor": 1.5, "name": "kelly"},
    "weights": [torch.arange(6.0).reshape(2, 3)],
    "none": None,
}


def saved_twice(folder: Path) -> Path:
    path = folder / "checkpoint.pt"
    save_checkpoint(path, STATE | {"step": 1}, HASH)
    save_checkpoint(path, STATE | {"step": 2}, HASH)
    return path


def assert_falls_back(path: Path, reason: str) -> None:
    with pytest.warns(RuntimeWarning, match=reason):
        assert load_checkpoint(path, HASH)["step"] == 1


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint.pt", STATE, HASH)
    state = load_checkpoint(tmp_path / "checkpoint.pt", HASH)
    assert torch.equal(state.pop("weights")[0], STATE["weights"][0])
    assert state == {key: value for key, value in STATE.items() if key != "weights"}


def test_plain_torch_load_reads_a_checkpoint_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint.pt", STATE, HASH)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["state"]["step"] == 3


def test_the_previous_checkpoint_is_kept_and_no_other(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    save_checkpoint(path, STATE, HASH)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.previous.pt", "checkpoint.pt"]
    assert load_checkpoint(previous_path(path), HASH)["step"] == 2


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert_falls_back(path, "do not match their checksum")
    path.write_bytes(whole)
    assert load_checkpoint(path, HASH)["step"] == 2


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
        save_checkpoint(path, {"step": 3, "bad": lambda: None}, HASH)
    assert load_checkpoint(path, HASH)["step"] == 2


def test_without_any_whole_checkpoint_both_reasons_are_told(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    path.write_bytes(b"PK")
    previous_path(path).write_bytes(b"")
    with pytest.raises(CheckpointError, match="checkpoint.pt cannot.*checkpoint.previous.pt cannot"):
        load_checkpoint(path, HASH)


def test_no_checkpoint_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_checkpoint(tmp_path / "checkpoint.pt", HASH)


def test_what_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"path": Path("x")}, HASH)  # any class that is not plain data
    with pytest.raises(CheckpointError, match="cannot be used"):
        load_checkpoint(path, HASH)


def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    endless = (
        "import torch; from pathlib import Path; from rasched.records.checkpoint import save_checkpoint\n"
        f"path = Path({str(path)!r})\n"
        "for step in range(10**9):\n"
        f"    save_checkpoint(path, {{'step': step, 'x': torch.full((50_000,), step)}}, {HASH!r})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", endless], env=environment)
    deadline = time.monotonic() + 30
    while not previous_path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)
    process.kill()
    process.wait()
    state = load_checkpoint(path, HASH) if path.exists() else load_checkpoint(previous_path(path), HASH)
    assert (state["x"] == state["step"]).all()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    path = saved_twice(tmp_path)
    with pytest.raises(CheckpointError, match="belongs to another configuration .0123456789abcdef. than this run's"):
        load_checkpoint(path, "another")


def test_a_sealed_file_with_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(seal({"weights": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match="it is no checkpoint of a run"):
        load_checkpoint(path, HASH)


def test_a_link_in_the_place_of_a_checkpoint_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "checkpoint.pt"
    victim.write_text("untouched")
    for name in ("checkpoint.pt", "checkpoint.pt.complete", "checkpoint.pt.complete.new", "checkpoint.previous.pt"):
        (tmp_path / name).symlink_to(victim)
    save_checkpoint(path, STATE, HASH)
    assert victim.read_text() == "untouched" and not path.is_symlink()
    assert load_checkpoint(path, HASH)["step"] == 3
