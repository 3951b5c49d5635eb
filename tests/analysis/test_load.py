"""Run folders read back: one run, and all runs of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rasched.analysis.load import load_run, load_sweep
from rasched.records.journal import JOURNAL, Journal
from rasched.records.metrics import METRICS, to_frame, write_metrics


def leave_run(folder: Path, value: float = 1.0, **columns: list[float]) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(f"optimizer:\n  lr: {value}\nsignal: null\n", encoding="utf-8")
    (folder / "run.json").write_text(json.dumps({"status": "done", "scores": {"lr_last": value}}), encoding="utf-8")
    numbers = {"train/lr": np.full(3, value)} | {name: np.array(values) for name, values in columns.items()}
    write_metrics(folder, to_frame(np.arange(1, 4), numbers))
    return folder


def test_a_run_has_its_record_its_settings_and_its_metrics(tmp_path: Path) -> None:
    run = load_run(leave_run(tmp_path / "run", 0.5))
    assert run.record == {"status": "done", "scores": {"lr_last": 0.5}}
    assert run.config == {"optimizer": {"lr": 0.5}, "signal": None}
    assert run.metrics.rows() == [(1, 0.5), (2, 0.5), (3, 0.5)]


def test_a_killed_run_is_read_from_its_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path, ["train/lr"])
    journal.append(np.array([1, 2]), np.array([[0.1], [np.nan]]))
    journal.close()
    run = load_run(tmp_path)
    assert run.metrics.rows() == [(1, 0.1), (2, None)]
    assert run.record == run.config == {}


def test_a_journal_is_later_word_than_a_table(tmp_path: Path) -> None:
    leave_run(tmp_path / "run")
    Journal(tmp_path / "run", ["train/lr"], np.array([1]), np.array([[9.0]])).close()
    assert load_run(tmp_path / "run").metrics.rows() == [(1, 9.0)]
    assert load_sweep(tmp_path).metrics().collect().rows() == [(0, 1, 9.0)]
    assert load_sweep(tmp_path).metrics(["a", "train/lr"]).collect().rows() == [(0, 1, None, 9.0)]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="not a run's folder"):
        load_run(tmp_path)
    with pytest.raises(FileNotFoundError, match="not a folder"):
        load_sweep(tmp_path / "nowhere")


def test_a_run_without_records_says_so_when_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="holds no records"):
        _ = load_run(tmp_path).metrics


def test_a_sweep_lists_its_runs_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        leave_run(tmp_path / "sweep" / str(number), number)
    sweep = load_sweep(tmp_path)
    assert [run.folder.name for run in sweep.runs] == ["0", "2", "10"]
    table = sweep.metrics().group_by("run").agg(pl.col("train/lr").mean()).sort("run").collect()
    assert table.rows() == [(0, 0.0), (1, 2.0), (2, 10.0)]


def test_runs_with_different_columns_stand_under_one_another(tmp_path: Path) -> None:
    leave_run(tmp_path / "0")
    leave_run(tmp_path / "1", **{"eval/return": [np.nan, 7.0, np.nan]})
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "run.json").write_text("{}", encoding="utf-8")  # failed before its first step
    sweep = load_sweep(tmp_path)
    assert len(sweep.runs) == 3
    table = sweep.metrics().collect().sort("run", "step")
    assert table["run"].to_list() == [0, 0, 0, 1, 1, 1]
    assert table["eval/return"].to_list() == [None] * 4 + [7.0, None]
    asked = sweep.metrics(["eval/return", "nobody has it"]).collect().sort("run", "step")
    assert asked.columns == ["run", "step", "eval/return", "nobody has it"]
    assert asked["eval/return"].equals(table["eval/return"]) and asked["nobody has it"].count() == 0


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    for value, name in enumerate(("rule=kelly,lr=[1]", "a*", "b?{x}", "ä é", "train")):
        leave_run(tmp_path / name, value)
    table = load_sweep(tmp_path).metrics().group_by("run").agg(pl.col("train/lr").first()).sort("run").collect()
    folders = [run.folder.name for run in load_sweep(tmp_path).runs]
    assert load_run(tmp_path / "a*").metrics["train/lr"].to_list() == [1.0] * 3
    assert table.columns == ["run", "train/lr"]
    assert [folders[run] for run, _ in table.sort("train/lr").rows()] == [
        "rule=kelly,lr=[1]",
        "a*",
        "b?{x}",
        "ä é",
        "train",
    ]


def test_a_sweep_of_nothing_is_empty(tmp_path: Path) -> None:
    assert load_sweep(tmp_path).metrics().collect().shape == (0, 2)
    assert load_sweep(tmp_path).metrics(["train/lr"]).collect().shape == (0, 3)


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = to_frame(np.array([1]), {"a": np.array([1.0])})
    write_metrics(tmp_path, table)

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", fail)
    with pytest.raises(OSError, match="No space"):
        write_metrics(tmp_path, to_frame(np.array([1]), {"a": np.array([2.0])}))
    assert [file.name for file in tmp_path.iterdir()] == [METRICS]
    assert load_run(tmp_path).metrics.equals(table)
    assert not (tmp_path / JOURNAL).exists()
