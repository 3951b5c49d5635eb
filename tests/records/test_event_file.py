"""Event files, read back by TensorBoard's own readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c as masked_of_tensorboard

from rasched.records.tensorboard.crc32c import crc32c, crc32c_varying, masked_crc32c
from rasched.records.tensorboard.event_file import EventFile, varint

INT64 = np.iinfo(np.int64)


def accumulated(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in accumulated(folder).Scalars(tag)]


def write(folder: Path, steps: object, columns: dict[str, object], **more: object) -> Path:
    events = EventFile(folder)
    events.append(steps, columns, **more)
    events.close()
    return events.path


def test_the_checksum_of_a_known_message_is_the_published_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@given(st.one_of(st.binary(max_size=200), st.integers(4, 20).map(lambda count: bytes(range(251)) * count)))
def test_masked_checksums_are_those_of_tensorboard(message: bytes) -> None:
    assert int.from_bytes(masked_crc32c(message), "little") == masked_of_tensorboard(message)


@given(
    npst.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 60))),
    st.data(),
)
def test_checksums_at_once_equal_checksums_one_by_one(messages: np.ndarray, data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, messages.shape[1] - 1))))
    template = messages[0].copy()
    template[places] = 0
    fixed = np.setdiff1d(np.arange(messages.shape[1]), places)
    messages[:, fixed] = template[fixed]
    expected = [crc32c(bytes(message)) for message in messages]
    shared = [(n, messages[0, n : n + 1]) for n in fixed if (messages[:, n] == messages[0, n]).all()]
    template[[n for n, _ in shared]] = 0
    parts = [*shared, *((n, messages[:, n : n + 1]) for n in places)]
    assert np.broadcast_to(crc32c_varying(bytes(template), parts), len(messages)).tolist() == expected


@given(st.integers(INT64.min, INT64.max))
def test_varints_are_those_of_protobuf(number: int) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    assert Event.FromString(b"\x10" + varint(number)).step == number


@settings(max_examples=40)
@given(
    steps=st.lists(st.integers(0, INT64.max), unique=True, max_size=30).map(sorted),
    data=st.data(),
)
def test_what_is_read_back_equals_what_was_written_in_float32(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("events")
    numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
    columns = {
        tag: np.array(data.draw(st.lists(numbers, min_size=len(steps), max_size=len(steps))), np.float64)
        for tag in ("train/reward", "train/lr", "ä")
    }
    write(folder, steps, columns)
    accumulator = accumulated(folder)
    with np.errstate(over="ignore"):
        for tag, values in columns.items():
            expected = [(s, v) for s, v in zip(steps, values.astype(np.float32).tolist(), strict=True) if v == v]
            read = [(e.step, e.value) for e in accumulator.Scalars(tag)] if tag in accumulator.Tags()["scalars"] else []
            assert read == expected


def test_steps_of_every_varint_length_and_below_zero_come_back(tmp_path: Path) -> None:
    steps = [INT64.min, -1, 0, *(edge for k in range(1, 9) for edge in ((1 << 7 * k) - 1, 1 << 7 * k)), INT64.max]
    path = write(tmp_path, steps, {"a": np.arange(len(steps))})
    read = [(e.step, e.summary.value[0].tag) for e in EventFileLoader(str(path)).Load() if e.HasField("summary")]
    assert read == [(step, "a") for step in steps]


def test_values_beyond_float32_become_infinite_and_negative_ones_stay(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3, 4], {"a": [1e300, -1e300, -2.5, 1e-50]})
    assert scalars(tmp_path, "a") == [(1, np.inf), (2, -np.inf), (3, -2.5), (4, 0.0)]


def test_a_step_without_a_value_leaves_no_event(tmp_path: Path) -> None:
    write(tmp_path, [1, 2, 3], {"dense": [1, 2, 3], "sparse": [np.nan, 5, np.nan], "empty": [np.nan] * 3})
    assert accumulated(tmp_path).Tags()["scalars"] == ["dense", "sparse"]
    assert scalars(tmp_path, "sparse") == [(2, 5.0)]


def test_values_of_one_step_share_an_event(tmp_path: Path) -> None:
    path = write(tmp_path, [1, 2], {"a": [1, 2], "b": [3, 4]})
    events = [event for event in EventFileLoader(str(path)).Load() if event.HasField("summary")]
    assert [[value.tag for value in event.summary.value] for event in events] == [["a", "b"], ["a", "b"]]


def test_wall_times_come_back_to_the_microsecond(tmp_path: Path) -> None:
    moments = [1_700_000_000.000001, 1_700_000_001.5]
    write(tmp_path, [1, 2], {"a": [0, 0]}, wall_times=moments)
    assert [event.wall_time for event in accumulated(tmp_path).Scalars("a")] == moments


def test_chunks_read_back_as_if_written_at_once(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(300)
    events = EventFile(tmp_path)
    for start in range(0, 300, 70):
        events.append(np.arange(start, min(start + 70, 300)), {"a": values[start : start + 70]})
        events.flush()
    events.close()
    assert scalars(tmp_path, "a") == list(enumerate(values.astype(np.float32).tolist()))


def test_after_a_flush_a_killed_process_has_lost_nothing(tmp_path: Path) -> None:
    events = EventFile(tmp_path)
    events.append([1, 2], {"a": [1, 2]})
    events.flush()
    assert scalars(tmp_path, "a") == [(1, 1.0), (2, 2.0)]  # read while the writer is still open
    events.close()


def test_a_second_file_in_the_same_second_has_another_name(tmp_path: Path) -> None:
    assert write(tmp_path, [1], {"a": [1]}) != write(tmp_path, [2], {"a": [2]})


@pytest.mark.parametrize("column", [[1.0], [1.0, 2.0, 3.0]])
def test_a_column_of_another_length_than_the_steps_is_refused(tmp_path: Path, column: list[float]) -> None:
    events = EventFile(tmp_path)
    with pytest.raises(ValueError, match="'a'.*2 steps"):
        events.append([1, 2], {"a": column})
    events.close()
