"""run.json and metrics.parquet: a damaged file is refused or skipped in one sentence, and never read as another."""

from __future__ import annotations

import json
import warnings
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rasched.errors import DamagedFileError
from rasched.records.metrics import METRICS, is_done, read_metrics, to_frame, write_metrics
from rasched.records.run_json import RECORD, RunJson, read_json, read_record

ENTRIES = {"status": "done", "config_hash": "abc", "steps": 100, "scores": {"reward_mean": 0.25, "lr_last": 1e-3}}


def flips(whole: bytes, count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    positions = rng.integers(len(whole), size=count)
    return [whole[:p] + bytes([whole[p] ^ 1 << int(rng.integers(8))]) + whole[p + 1 :] for p in positions.tolist()]


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_record_is_found(tmp_path: Path, seed: int) -> None:
    RunJson(tmp_path, **ENTRIES).update()
    whole = (tmp_path / RECORD).read_bytes()
    for content in flips(whole, 100, seed):
        (tmp_path / RECORD).write_bytes(content)
        try:
            entries = read_json(tmp_path / RECORD)
        except DamagedFileError as error:
            assert "is damaged" in str(error) and "\n" not in str(error)
        else:  # a change of spaces, or of the name of the checksum, which is then another entry
            assert {name: entries[name] for name in ENTRIES} == ENTRIES


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"\xff\xfe", b"{" * 100_000, b'{"status": "done"', b"null"])
def test_a_record_that_is_no_record_counts_as_none_with_a_warning(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RECORD).write_bytes(content)
    with pytest.warns(RuntimeWarning, match="run.json is damaged"):
        assert read_record(tmp_path) == {}
    with pytest.warns(RuntimeWarning, match="counts as one that has not ended"):
        assert not is_done(tmp_path, "abc")


def test_a_record_without_a_checksum_is_accepted(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text(json.dumps(ENTRIES))
    assert read_record(tmp_path) == ENTRIES


def leave_table(folder: Path) -> bytes:
    rng = np.random.default_rng(0)
    table = to_frame(np.arange(1, 201), {name: rng.standard_normal(200) for name in ("train/lr", "train/reward")})
    crc32 = write_metrics(folder, table)
    RunJson(folder, **ENTRIES, metrics_crc32=crc32).update()
    return (folder / METRICS).read_bytes()


@pytest.mark.parametrize("seed", range(3))
def test_a_changed_table_is_found(tmp_path: Path, seed: int) -> None:
    whole = leave_table(tmp_path)
    assert len(read_metrics(tmp_path)) == 200
    for content in [*flips(whole, 50, seed), b"", whole[:100], whole[:-1], b"PAR1" * 5]:
        (tmp_path / METRICS).write_bytes(content)
        with pytest.raises(DamagedFileError, match="metrics.parquet is damaged"):
            read_metrics(tmp_path)


def test_a_panic_of_the_reader_is_an_ordinary_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Without a checksum the parser itself meets the damage; a panic of polars is no Exception."""
    whole = leave_table(tmp_path)
    (tmp_path / RECORD).unlink()
    for content in flips(whole, 200, 5):
        (tmp_path / METRICS).write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_metrics(tmp_path)
            except DamagedFileError:
                continue
    capfd.readouterr()


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1, 2]}).write_parquet(tmp_path / METRICS)
    with pytest.raises(DamagedFileError, match="no table of metrics"):
        read_metrics(tmp_path)


def test_a_run_whose_table_is_changed_or_missing_is_not_done(tmp_path: Path) -> None:
    whole = leave_table(tmp_path)
    assert is_done(tmp_path, "abc") and not is_done(tmp_path, "abd")
    for content in flips(whole, 5, 0):
        (tmp_path / METRICS).write_bytes(content)
        assert not is_done(tmp_path, "abc")
    (tmp_path / METRICS).unlink()
    assert not is_done(tmp_path, "abc")


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    assert zlib.crc32(leave_table(tmp_path)) == read_record(tmp_path)["metrics_crc32"]
