"""The journal: rows before any damage are those that were written, and the damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rasched.errors import CheckpointError
from rasched.records.journal import JOURNAL, Journal, read_journal
from rasched.records.metrics import read_metrics
from rasched.records.recorder import Recorder


def write_journal(folder: Path, rows: int = 30) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal((rows, 3))
    values[:10, 1] = np.nan
    values[20, 2], values[21, 2] = np.inf, -np.inf
    journal = Journal(folder, ["a", "b", "c"])
    journal.append(np.arange(1, rows + 1), values)
    journal.close()
    return values


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    values = write_journal(tmp_path)
    rows = read_journal(tmp_path / JOURNAL)
    assert rows.names == ["a", "b", "c"] and rows.steps.tolist() == list(range(1, 31)) and rows.damaged_line is None
    assert np.array_equal(rows.values, values, equal_nan=True)


def test_any_reader_of_json_lines_can_read_it(tmp_path: Path) -> None:
    values = write_journal(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 31))
    assert [line["a"] for line in lines] == values[:, 0].tolist() and lines[20]["c"] == np.inf


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    position, kind = int(rng.integers(len(whole))), rng.integers(5)
    if kind == 0:
        return whole[:position] + bytes([whole[position] ^ 1 << int(rng.integers(8))]) + whole[position + 1 :]
    if kind == 1:
        return whole[:position]
    if kind == 2:
        return whole[:position] + bytes(min(64, len(whole) - position)) + whole[position + 64 :]
    lines = whole.splitlines(keepends=True)
    line = int(rng.integers(len(lines)))
    return b"".join([*lines[:line], *lines[line + 1 :]] if kind == 3 else [*lines[:line], lines[line], *lines[line:]])


@pytest.mark.parametrize("seed", range(5))
def test_no_damage_gives_other_numbers(tmp_path: Path, seed: int) -> None:
    values, rng = write_journal(tmp_path), np.random.default_rng(seed)
    whole = (tmp_path / JOURNAL).read_bytes()
    for _ in range(50):
        content = damaged(whole, rng)
        (tmp_path / JOURNAL).write_bytes(content)
        rows = read_journal(tmp_path / JOURNAL)
        count = len(rows.steps)
        assert rows.steps.tolist() == list(range(1, count + 1))
        assert np.array_equal(rows.values, values[:count, : len(rows.names)], equal_nan=True)
        if rows.damaged_line is not None:
            assert rows.damaged_line == count + 1


def test_damage_is_said_and_what_relies_on_it_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path)
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    lines[14] = lines[14].replace(b'"a":', b'"a":1')
    (tmp_path / JOURNAL).write_bytes(b"".join(lines))
    with pytest.warns(RuntimeWarning, match="damaged from line 15 on; only the rows before are used"):
        assert len(read_metrics(tmp_path)) == 14
    with (
        pytest.warns(RuntimeWarning, match="damaged"),
        pytest.raises(CheckpointError, match="no records up to step 20.*move its checkpoint away"),
    ):
        Recorder([tmp_path], after=20)
    with pytest.warns(RuntimeWarning, match="damaged"), Recorder([tmp_path], after=10, every=None) as recorder:
        recorder.record(11, {"a": 1.0})
    assert len(read_metrics(tmp_path)) == 11


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for name in (JOURNAL, f"{JOURNAL}.new", "metrics.parquet", "metrics.parquet.new"):
        (tmp_path / name).symlink_to(victim)
    with Recorder([tmp_path]) as recorder:
        recorder.record(1, {"a": 1.0})
    assert victim.read_text() == "untouched"
    assert read_metrics(tmp_path).rows() == [(1, 1.0)]
