"""Run folders read back: one run, and all runs of a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rasched.analysis.load import load, load_run
from rasched.errors import UsageError
from rasched.records.journal import JOURNAL, Journal
from rasched.records.metrics import METRICS, to_frame, write_metrics


def leave_run(
    folder: Path, value: float = 1.0, columns: Mapping[str, list[float]] | None = None, **record: Any
) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text(f"optimizer:\n  lr: {value}\nsignal: null\n", encoding="utf-8")
    entries = {"status": "done", "scores": {"lr_last": value}, **record}
    (folder / "run.json").write_text(json.dumps(entries), encoding="utf-8")
    numbers = {"train/lr": np.full(3, value)} | {name: np.array(values) for name, values in (columns or {}).items()}
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
    assert load(tmp_path).metrics().collect().rows() == [(0, 1, 9.0)]
    assert load(tmp_path).metrics("a", "train/lr").collect().rows() == [(0, 1, None, 9.0)]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the folder of a run"):
        load_run(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no run"):
        load(tmp_path)


def test_a_run_without_records_says_so_when_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="holds no records"):
        _ = load_run(tmp_path).metrics


def test_a_sweep_lists_its_runs_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        leave_run(tmp_path / "sweep" / str(number), number)
    sweep = load(tmp_path)
    assert [run.folder.name for run in sweep] == ["0", "2", "10"]
    table = sweep.metrics().group_by("run").agg(pl.col("train/lr").mean()).sort("run").collect()
    assert table.rows() == [(0, 0.0), (1, 2.0), (2, 10.0)]


def test_runs_with_different_columns_stand_under_one_another(tmp_path: Path) -> None:
    leave_run(tmp_path / "0")
    leave_run(tmp_path / "1", columns={"eval/return": [np.nan, 7.0, np.nan]})
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "run.json").write_text("{}", encoding="utf-8")  # failed before its first step
    sweep = load(tmp_path)
    assert len(sweep) == 3
    table = sweep.metrics().collect().sort("run", "step")
    assert table["run"].to_list() == [0, 0, 0, 1, 1, 1]
    assert table["eval/return"].to_list() == [None] * 4 + [7.0, None]
    asked = sweep.metrics("eval/return", "nobody has it").collect().sort("run", "step")
    assert asked.columns == ["run", "step", "eval/return", "nobody has it"]
    assert asked["eval/return"].equals(table["eval/return"]) and asked["nobody has it"].count() == 0


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    for value, name in enumerate(("rule=kelly,lr=[1]", "a*", "b?{x}", "ä é", "train")):
        leave_run(tmp_path / name, value)
    table = load(tmp_path).metrics().group_by("run").agg(pl.col("train/lr").first()).sort("run").collect()
    folders = [run.folder.name for run in load(tmp_path)]
    assert load_run(tmp_path / "a*").metrics["train/lr"].to_list() == [1.0] * 3
    assert table.columns == ["run", "train/lr"]
    assert [folders[run] for run, _ in table.sort("train/lr").rows()] == [
        "rule=kelly,lr=[1]",
        "a*",
        "b?{x}",
        "ä é",
        "train",
    ]


def test_runs_that_recorded_nothing_have_an_empty_frame(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert load(tmp_path).metrics().collect().shape == (0, 2)
    assert load(tmp_path).metrics("train/lr").collect().shape == (0, 3)


def test_the_frame_of_runs_has_overrides_settings_and_scores(tmp_path: Path) -> None:
    leave_run(tmp_path / "a", 0.5)
    leave_run(tmp_path / "b", 1.5, overrides=["rule=kelly", "seed=3"], seed=3, status="failed", error="no\nluck")
    frame = load(tmp_path).runs
    assert frame.columns[:4] == ["folder", "sweep", "status", "seed"]
    assert frame["optimizer.lr"].to_list() == frame["lr_last"].to_list() == [0.5, 1.5]
    assert frame["overrides"].to_list() == [[], ["rule=kelly", "seed=3"]]
    assert frame.select("status", "seed", "error").rows() == [("done", None, None), ("failed", 3, "no luck")]
    assert load(tmp_path).sweeps.rows() == [(str(tmp_path), 2, 1, 1)]


def test_runs_of_several_folders_are_read_once(tmp_path: Path) -> None:
    for name in ("a/0", "a/1", "b/0"):
        leave_run(tmp_path / name)
    assert len(load(tmp_path / "a", tmp_path / "b")) == 3
    assert len(load(tmp_path / "a", tmp_path)) == 3


def test_a_run_that_a_sweep_has_not_started_is_missing(tmp_path: Path) -> None:
    leave_run(tmp_path / "0_rule=kelly", overrides=["rule=kelly"])
    rows = [
        {"folder": f"{num}_rule={rule}", "overrides": [f"rule={rule}"]} for num, rule in enumerate(("kelly", "none"))
    ]
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": rows}), encoding="utf-8")
    assert [(run.status, run.overrides) for run in load(tmp_path)] == [
        ("done", ["rule=kelly"]),
        ("missing", ["rule=none"]),
    ]


def test_the_settings_of_a_sweeps_index_take_the_place_of_the_files(tmp_path: Path) -> None:
    leave_run(tmp_path / "0")
    row = {"folder": "0", "overrides": [], "settings": {"rule.gain": 0.3}}
    (tmp_path / "sweep.json").write_text(json.dumps({"runs": [row], "settings": {"rule.name": "kelly"}}))
    assert load(tmp_path)[0].settings == {"rule.name": "kelly", "rule.gain": 0.3}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", "{"),
        ("run.json", "[1]"),
        ("run.json", '{"overrides": "rule=kelly"}'),
        ("run.json", '{"scores": [1]}'),
        ("run.json", "\udc80"),
        ("run.json", "[" * 100_000),
        ("sweep.json", "{"),
    ],
)
def test_a_damaged_record_is_left_out_and_named(tmp_path: Path, name: str, text: str) -> None:
    leave_run(tmp_path / "0")
    leave_run(tmp_path / "1")
    path = tmp_path / "1" / name if name == "run.json" else tmp_path / name
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.warns(UserWarning, match=f"{name} (cannot be read|is damaged)"):
        results = load(tmp_path)
    assert len(results) == (1 if name == "run.json" else 2)


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:100], lambda data: b"", lambda data: data[:60] + b"?" * 40 + data[100:]],
    ids=["cut off", "empty", "overwritten"],
)
def test_damaged_metrics_are_left_out_and_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    for seed in (0, 1):
        leave_run(tmp_path / str(seed), seed, overrides=[f"seed={seed}"], seed=seed)
    path = tmp_path / "1" / METRICS
    path.write_bytes(damage(path.read_bytes()))
    results = load(tmp_path)
    assert results.compare("train/lr").rows[0].runs == 1
    assert any(str(path) in sentence for sentence in results.damaged)


def test_what_a_stranger_wrote_cannot_move_the_cursor_or_fill_memory(tmp_path: Path) -> None:
    leave_run(tmp_path / "0", overrides=["rule=\x1b[2Jkelly"], error="\x1b]0;title\x07")
    leave_run(tmp_path / "1")
    bomb = "a0: &a0 {x: 1, y: 2}\n" + "\n".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 40))
    (tmp_path / "1/.hydra/config.yaml").write_text(bomb)
    results = load(tmp_path)
    assert "\x1b" not in results[0].overrides[0] + str(results[0].error)
    assert results.runs.height == 2


def test_links_that_lead_in_a_circle_are_not_followed(tmp_path: Path) -> None:
    leave_run(tmp_path / "0")
    (tmp_path / "1").symlink_to(tmp_path, target_is_directory=True)
    assert len(load(tmp_path)) == 1


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
