"""The file of a batch's rows: what was written comes back, and damage is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rasched.errors import CheckpointError
from rasched.records.batch_rows import BatchRowsFile, read_batch_rows


def part(rows: int, columns: int, first: int) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(first)
    steps = np.arange(first, first + rows)
    return [f"c{i}" for i in range(columns)], steps, rng.random(rows), rng.standard_normal((rows, columns, 3))


def written(path: Path) -> BatchRowsFile:
    file = BatchRowsFile(path)
    file.append(*part(5, 2, 1))
    file.append(*part(4, 3, 6))
    return file


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    file = written(tmp_path / "rows")
    parts = list(read_batch_rows(file.path, file.end))
    for read, expected in zip(parts, (part(5, 2, 1), part(4, 3, 6)), strict=True):
        assert read[0] == expected[0]
        assert all(np.array_equal(a, b) for a, b in zip(read[1:], expected[1:], strict=True))


def test_rows_after_the_checkpoint_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    first = BatchRowsFile(path)
    first.append(*part(5, 2, 1))
    end = first.end
    first.append(*part(4, 2, 6))
    again = BatchRowsFile(path, end)
    again.append(*part(2, 2, 6))
    assert [len(steps) for _, steps, _, _ in read_batch_rows(path, again.end)] == [5, 2]


@pytest.mark.parametrize("seed", range(4))
def test_every_damage_is_found(tmp_path: Path, seed: int) -> None:
    file = written(tmp_path / "rows")
    whole, rng = file.path.read_bytes(), np.random.default_rng(seed)
    for _ in range(50):
        position = int(rng.integers(len(whole)))
        kind = rng.integers(3)
        flipped = whole[:position] + bytes([whole[position] ^ 1 << int(rng.integers(8))]) + whole[position + 1 :]
        file.path.write_bytes((flipped, whole[:position], whole[:position] + whole[position + 1 :])[kind])
        with pytest.raises(CheckpointError, match="was cut short or changed"):
            list(read_batch_rows(file.path, file.end))
    file.path.unlink()
    with pytest.raises(CheckpointError, match="move both away"):
        list(read_batch_rows(file.path, file.end))


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "rows"
    victim.write_text("untouched")
    path.symlink_to(victim)
    written(path)
    assert victim.read_text() == "untouched" and not path.is_symlink()
    path.rename(tmp_path / "moved")
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        BatchRowsFile(path, 9).append(*part(1, 1, 1))
    assert victim.read_text() == "untouched"
