"""The recorder: one run live, many at once, the same files from both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rasched.records.downsampling import CurveMeans, Downsampler, log_interval
from rasched.records.journal import JOURNAL, read_journal
from rasched.records.metrics import METRICS, read_metrics
from rasched.records.recorder import Recorder
from rasched.records.tensorboard.tags import column_tag

DENSE = ("train/reward", "train/lr", "train/loss", "train/regret", "train/optimal")


def numbers(steps: int, runs: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns of shape (steps, runs); evaluations at every 37th step only."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.standard_normal((steps, runs)) for name in DENSE}
    rare = np.full((steps, runs), np.nan)
    rare[36::37] = rng.standard_normal(rare[36::37].shape)
    return columns | {"eval/return": rare}


def feed(recorder: Recorder, columns: Mapping[str, np.ndarray], rows: range) -> None:
    for row in rows:
        recorder.record(row + 1, {name: torch.from_numpy(values[row]) for name, values in columns.items()})


def recorded(folders: list[Path], columns: Mapping[str, np.ndarray], **settings: object) -> list[dict[str, float]]:
    steps = len(columns["train/lr"])
    recorder = Recorder(folders, steps=steps, **settings)
    feed(recorder, columns, range(steps))
    return recorder.close()


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def expected_events(table: pl.DataFrame, name: str, keep: pl.Expr) -> list[tuple[int, float]]:
    rows = table.filter(keep & pl.col(name).is_not_null()).select("step", pl.col(name).cast(pl.Float32))
    return rows.rows()


def abandon(recorder: Recorder) -> None:
    """Leave a recorder as a kill would, but close its files, or Python warns of them."""
    recorder._writer._journal.close()
    recorder._writer._events.close()


def test_the_table_holds_every_number_given(tmp_path: Path) -> None:
    columns = numbers(500)
    recorded([tmp_path], columns)
    table = pl.read_parquet(tmp_path / METRICS)
    assert table.schema == {"step": pl.Int64} | {name: pl.Float64 for name in columns}
    assert table["step"].to_list() == list(range(1, 501))
    for name, values in columns.items():
        assert np.array_equal(table[name].fill_null(np.nan).to_numpy(), values[:, 0], equal_nan=True)


def test_a_run_in_a_batch_leaves_the_files_it_leaves_alone(tmp_path: Path) -> None:
    columns = numbers(300, runs=3)
    together = recorded([tmp_path / f"batch{run}" for run in range(3)], columns, every=7)
    for run in range(3):
        alone = {name: values[:, run : run + 1] for name, values in columns.items()}
        assert recorded([tmp_path / f"alone{run}"], alone, every=7) == [together[run]]
        batch, single = tmp_path / f"batch{run}", tmp_path / f"alone{run}"
        assert (batch / METRICS).read_bytes() == (single / METRICS).read_bytes()
        assert events(batch) == events(single)


def test_a_run_that_ends_before_its_neighbours_leaves_what_it_leaves_alone(tmp_path: Path) -> None:
    columns = numbers(100, runs=2)
    for values in columns.values():
        values[40:, 1] = np.nan
    _, ended = recorded([tmp_path / "whole", tmp_path / "ended"], columns, every=10)
    alone = {name: values[:40, 1:] for name, values in columns.items()}
    assert recorded([tmp_path / "alone"], alone, every=10) == [ended]
    assert (tmp_path / "ended" / METRICS).read_bytes() == (tmp_path / "alone" / METRICS).read_bytes()
    assert events(tmp_path / "ended") == events(tmp_path / "alone")


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        recorded([tmp_path / name], numbers(50))
    assert (tmp_path / "a" / METRICS).read_bytes() == (tmp_path / "b" / METRICS).read_bytes()


@pytest.mark.parametrize("runs", [1, 2])
def test_the_event_file_equals_the_table_at_the_first_last_rare_and_every_nth_step(tmp_path: Path, runs: int) -> None:
    recorded([tmp_path / str(run) for run in range(runs)], numbers(205, runs), every=10)
    for run in range(runs):
        table, read = pl.read_parquet(tmp_path / str(run) / METRICS), events(tmp_path / str(run))
        grid = (pl.col("step") % 10 == 0) | pl.col("step").is_in([1, 205])
        for name in DENSE:
            assert read[column_tag(name)] == expected_events(table, name, grid)
        assert read[column_tag("eval/return")] == expected_events(table, "eval/return", pl.lit(True))


def test_automatic_thinning_keeps_about_a_thousand_rows(tmp_path: Path) -> None:
    recorded([tmp_path], {"train/lr": np.ones((12_345, 1))})
    assert 900 <= len(events(tmp_path)["lr_and_reward/learning_rate"]) <= 1_002


def test_no_interval_means_no_event_file(tmp_path: Path) -> None:
    recorded([tmp_path / "a"], numbers(5), every=None)
    recorded([tmp_path / "b", tmp_path / "c"], numbers(5, 2), every=None)
    assert all([file.name for file in (tmp_path / name).iterdir()] == [METRICS] for name in "abc")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 50), st.data())
def test_thinning_does_not_depend_on_where_chunks_end(gaps: list[int], every: int, data: st.DataObject) -> None:
    steps = np.cumsum(gaps)
    values = np.where(np.random.default_rng(sum(gaps)).random((len(gaps), 3)) < 0.5, np.nan, 1.0)
    cut = data.draw(st.integers(1, len(gaps)))
    whole, parts = Downsampler(every).keep(steps, values), Downsampler(every)
    pieces = [parts.keep(steps[rows], values[rows]) for rows in (slice(cut), slice(cut, None)) if len(steps[rows])]
    assert np.array_equal(whole, np.concatenate(pieces))


def test_steps_in_strides_are_kept_once_an_interval() -> None:
    steps = np.arange(512, 50_000, 512)
    assert Downsampler(100).keep(steps, np.ones((len(steps), 1))).all()
    kept = Downsampler(1_000).keep(steps, np.ones((len(steps), 1)))[:, 0]
    assert len(set((steps // 1_000)[kept])) == kept.sum() == len(set(steps // 1_000))


@pytest.mark.parametrize("every", [0, -3])
def test_an_interval_below_one_is_refused(every: int) -> None:
    with pytest.raises(ValueError, match="logger.log_every must be 'auto' or at least 1"):
        log_interval(every, 100)


def test_while_a_run_goes_on_its_records_are_readable(tmp_path: Path) -> None:
    recorder = Recorder([tmp_path], steps=100)
    feed(recorder, numbers(100), range(60))
    recorder.flush()
    assert len(read_metrics(tmp_path)) == 60
    assert events(tmp_path)["lr_and_reward/reward"][-1][0] == 60
    recorder.close()
    assert sorted(file.suffix for file in tmp_path.iterdir() if "tfevents" not in file.name) == [".parquet"]


def test_slow_steps_are_written_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1e9
    monkeypatch.setattr("rasched.records.recorder.time.monotonic", lambda: now)
    recorder = Recorder([tmp_path])
    for step in range(1, 6):
        now += 0.2
        recorder.record(step, {"train/lr": 0.1})
        assert len(read_metrics(tmp_path)) == step
    recorder.close()


def test_fast_steps_are_written_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1e9
    monkeypatch.setattr("rasched.records.recorder.time.monotonic", lambda: now)
    recorder = Recorder([tmp_path])
    for step in range(1, 2_001):
        now += 0.001
        recorder.record(step, {"train/lr": 0.1})
    assert 900 < len(read_metrics(tmp_path)) < 2_000
    recorder.close()


@given(st.data())
def test_a_journal_cut_at_any_byte_reads_up_to_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, columns = tmp_path_factory.mktemp("run"), numbers(40)
    with Recorder([folder], every=None) as recorder:
        feed(recorder, columns, range(40))
        recorder.flush()
        whole = (folder / JOURNAL).read_bytes()
    (folder / METRICS).unlink()
    size = data.draw(st.integers(0, len(whole)))
    (folder / JOURNAL).write_bytes(whole[:size])
    rows = whole[:size].count(b"\n")
    table = read_metrics(folder)
    assert table["step"].to_list() == list(range(1, rows + 1))
    if rows:
        assert table["train/lr"].to_list() == columns["train/lr"][:rows, 0].tolist()


@pytest.mark.parametrize("runs", [1, 3])
def test_a_column_that_comes_late_has_no_value_before(tmp_path: Path, runs: int) -> None:
    folders = [tmp_path / str(run) for run in range(runs)]
    recorder = Recorder(folders)
    for step in range(1, 5):
        recorder.record(step, {"train/lr": 0.5} | ({"eval/return": 2.0} if step >= 3 else {}))
    recorder.close()
    for folder in folders:
        assert read_metrics(folder).rows() == [(1, 0.5, None), (2, 0.5, None), (3, 0.5, 2.0), (4, 0.5, 2.0)]


@pytest.mark.parametrize("runs", [1, 3])
def test_a_name_left_out_is_no_value(tmp_path: Path, runs: int) -> None:
    folders = [tmp_path / str(run) for run in range(runs)]
    recorder = Recorder(folders)
    for step in range(1, 5):
        recorder.record(step, {"train/lr": 0.5} | ({"eval/return": 2.0} if step % 2 else {}))
    recorder.close()
    assert read_metrics(folders[-1])["eval/return"].to_list() == [2.0, None, 2.0, None]


def test_long_batches_span_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasched.records.recorder.CHUNK_BYTES", 1)
    columns = numbers(200, runs=2)
    recorded([tmp_path / "a", tmp_path / "b"], columns)
    assert read_metrics(tmp_path / "b")["train/loss"].to_list() == columns["train/loss"][:, 1].tolist()


@pytest.mark.parametrize("value", [2.0, 2, np.float64(2), torch.tensor(2.0), torch.tensor([2.0])])
def test_a_single_run_takes_numbers_and_tensors_of_one_element(tmp_path: Path, value: float) -> None:
    with Recorder([tmp_path]) as recorder:
        recorder.record(1, {"train/lr": value})
    assert read_metrics(tmp_path).rows() == [(1, 2.0)]


def test_float32_and_tensors_that_require_grad_are_taken(tmp_path: Path) -> None:
    with Recorder([tmp_path / "a", tmp_path / "b"]) as recorder:
        recorder.record(1, {"train/loss": torch.tensor([0.1, 0.2], requires_grad=True)})
    assert read_metrics(tmp_path / "b")["train/loss"].to_list() == [float(np.float32(0.2))]


@pytest.mark.parametrize("step", [0, 3])
def test_steps_that_do_not_increase_are_refused(tmp_path: Path, step: int) -> None:
    with Recorder([tmp_path]) as recorder:
        recorder.record(3, {"train/lr": 1.0})
        with pytest.raises(ValueError, match=f"got step {step} after 3"):
            recorder.record(step, {"train/lr": 1.0})


def test_after_an_error_what_was_recorded_is_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Recorder([tmp_path]) as recorder:
        recorder.record(1, {"train/lr": 0.5})
        raise KeyboardInterrupt
    assert read_metrics(tmp_path).rows() == [(1, 0.5)]


@pytest.mark.parametrize("finished", [False, True], ids=["killed", "finished"])
def test_a_run_that_carries_on_leaves_what_one_piece_leaves(tmp_path: Path, finished: bool) -> None:
    columns = numbers(300)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    scores = recorded([whole], columns, every=10)
    first = Recorder([cut], steps=300, every=10)
    feed(first, columns, range(205))
    first.close() if finished else first.flush()
    second = Recorder([cut], steps=300, every=10, after=185)  # the checkpoint was older than the records
    feed(second, columns, range(185, 300))
    assert second.close() == scores
    assert (cut / METRICS).read_bytes() == (whole / METRICS).read_bytes()
    assert events(cut) == events(whole)
    if not finished:
        abandon(first)


def test_carrying_on_from_records_that_are_not_there_is_refused(tmp_path: Path) -> None:
    recorded([tmp_path], numbers(20))
    with pytest.raises(ValueError, match="no records up to step 50, so the run cannot .*; move its checkpoint"):
        Recorder([tmp_path], after=50)
    with pytest.raises(ValueError, match="give the file of their rows"):
        Recorder([tmp_path / "a", tmp_path / "b"], after=5)


@pytest.mark.parametrize("runs", [1, 2])
def test_starting_anew_replaces_what_an_earlier_try_left(tmp_path: Path, runs: int) -> None:
    folders = [tmp_path / str(run) for run in range(runs)]
    recorded(folders, numbers(50, runs, seed=1))
    recorded(folders, numbers(20, runs, seed=2))
    assert len(read_metrics(folders[0])) == 20
    assert events(folders[0])["lr_and_reward/learning_rate"][-1][0] == 20


def test_scores_stand_in_the_event_file_at_the_last_step(tmp_path: Path) -> None:
    [scores] = recorded([tmp_path], numbers(50))
    read = events(tmp_path)
    assert scores and json.dumps(scores)
    for name, value in scores.items():
        assert read[f"whole_run/{name}"] == [(50, np.float32(value))]


@pytest.mark.parametrize("runs", [1, 2])
def test_a_run_without_a_single_record_leaves_an_empty_table(tmp_path: Path, runs: int) -> None:
    folders = [tmp_path / str(run) for run in range(runs)]
    assert Recorder(folders).close() == [{}] * runs
    assert read_metrics(folders[0]).shape == (0, 1)


def test_as_many_labels_as_runs_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hparams must be given for each of the 2 runs, got 1"):
        Recorder([tmp_path / "a", tmp_path / "b"], hparams=[{"rule": "kelly"}])


class FullDisk:
    """A file that takes a few bytes more and then fails, until there is room again."""

    def __init__(self, file: object, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 3, 100])
def test_a_full_disk_tears_no_row_and_doubles_none(tmp_path: Path, room: int) -> None:
    columns = numbers(60)
    recorder = Recorder([tmp_path], steps=60, every=1)
    feed(recorder, columns, range(20))
    recorder.flush()
    for full in (recorder._writer._journal, recorder._writer._events):
        plain, full._file = full._file, FullDisk(full._file, room)
        feed(recorder, columns, range(recorder._last_step, recorder._last_step + 20))
        with pytest.raises(OSError, match="No space"):
            recorder.flush()
        full._file = plain
        recorder.flush()
    recorder.close()
    assert read_metrics(tmp_path)["train/lr"].to_list() == columns["train/lr"][:, 0].tolist()
    assert [step for step, _ in events(tmp_path)["lr_and_reward/learning_rate"]] == list(range(1, 61))


def test_a_journal_keeps_its_rows_when_a_column_joins(tmp_path: Path) -> None:
    recorder = Recorder([tmp_path], every=None)
    recorder.record(1, {"a": 1.0})
    recorder.record(2, {"a": 2.0, "b": 5.0})
    recorder.flush(durable=True)
    rows = read_journal(tmp_path / JOURNAL)
    assert rows.names == ["a", "b"] and rows.steps.tolist() == [1, 2] and rows.damaged_line is None
    assert np.array_equal(rows.values, [[1, np.nan], [2, 5]], equal_nan=True)
    recorder.close()


@given(
    npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-9, 9) | st.just(np.nan)),
    st.integers(1, 7),
    st.data(),
)
def test_curves_are_means_over_stretches(values: np.ndarray, length: int, data: st.DataObject) -> None:
    rows = values.shape[1]
    steps = np.cumsum(data.draw(npst.arrays(np.int64, rows, elements=st.integers(1, 9))))
    means = CurveMeans(("a", "b"), length).means(steps, {"a": values})
    assert set(means) == {"step", "a"}
    ends = -(-steps // length) * length
    assert means["step"].tolist() == sorted(set(ends.tolist()))
    for place, end in enumerate(means["step"]):
        for mean, run in zip(means["a"][:, place], values[:, ends == end], strict=True):
            there = run[~np.isnan(run)]
            assert mean == pytest.approx(there.mean(), abs=1e-12) if len(there) else np.isnan(mean)
