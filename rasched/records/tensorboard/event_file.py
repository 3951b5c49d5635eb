"""TensorBoard event files, written whole columns at a time.

An event file is a chain of TFRecords (length, its masked CRC-32C, data, its masked CRC-32C), each of them one `Event`
protobuf. Rows that hold values of the same tags differ in a few bytes only: time, step, values and checksums. So one
row is laid out as a template and NumPy fills in those bytes for all rows at once, which is some hundred times faster
than building and serialising messages one by one.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rasched.records.tensorboard.crc32c import crc32c_varying, masked, masked_crc32c
from rasched.records.tensorboard.summaries import (
    ChartGroup,
    config_summary,
    image_summary,
    layout_summary,
    session_summary,
)

_file_numbers = itertools.count()
_VARINT_LIMITS = np.array([1 << 7 * size for size in range(1, 10)], np.uint64)


def varint(number: int) -> bytes:
    """Protobuf's variable-length integer; negative ones are taken modulo 2**64."""
    number %= 1 << 64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def frame_record(data: bytes) -> bytes:
    """Frame one message as a TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc32c(length) + data + masked_crc32c(data)


class _Template:
    """One framed event with a value for each tag; it has zeros where rows differ, and NumPy fields for these bytes."""

    def __init__(self, tags: tuple[str, ...], step_length: int) -> None:
        values = [_field(1, _field(1, tag.encode()) + b"\x15" + bytes(4)) for tag in tags]
        summary = b"".join(values)
        prefix = b"\x09" + bytes(8) + b"\x10" + bytes(step_length) + b"\x2a" + varint(len(summary))
        self.body = prefix + summary
        length = struct.pack("<Q", len(self.body))
        head = length + masked_crc32c(length)
        self.whole = head + self.body + bytes(4)
        ends = itertools.accumulate((len(value) for value in values), initial=len(prefix))
        self.offsets = {"time": 1, "step": 10} | {f"value {n}": end - 4 for n, end in enumerate([*ends][1:])}
        self.row = np.dtype(
            {
                "names": [*self.offsets, "crc"],
                "formats": ["<f8", f"({step_length},)u1", *["<f4"] * len(tags), "<u4"],
                "offsets": [*(len(head) + offset for offset in self.offsets.values()), len(self.whole) - 4],
                "itemsize": len(self.whole),
            }
        )

    def rows(self, shape: tuple[int, ...]) -> NDArray[np.void]:
        """Return copies of the event, to be filled in."""
        rows = np.full(shape, np.void(self.whole))
        return rows.view(self.row)


_template = lru_cache(maxsize=256)(_Template)


def _varint_lengths(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes that each step takes as a varint, shape (n,); ten for a negative one."""
    return 1 + np.searchsorted(_VARINT_LIMITS, steps.view(np.uint64), side="right")


def _varints(steps: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
    """Return steps of shape (n,), which all take `length` bytes, as these: shape (n, length)."""
    shifted = steps.view(np.uint64)[:, None] >> (7 * np.arange(length, dtype=np.uint64))
    more = np.where(np.arange(length) < length - 1, 0x80, 0).astype(np.uint64)
    return (shifted & np.uint64(0x7F) | more).astype(np.uint8)


def _rows(
    steps: NDArray[np.int64],
    times: NDArray[np.float64],
    tags: tuple[str, ...],
    values: NDArray[np.float32],
    length: int,
) -> NDArray[np.void]:
    """Frame rows whose steps all take `length` bytes, shape (runs, n); values have shape (tags, runs, n) and no NaN."""
    template = _template(tags, length)
    rows = template.rows(values.shape[1:])
    columns: dict[str, NDArray[Any]] = {"time": times.astype("<f8"), "step": _varints(steps, length)}  # of all runs
    columns |= {f"value {n}": column.astype("<f4", copy=False) for n, column in enumerate(values)}
    for name, column in columns.items():
        rows[name] = column
    parts = [(offset, _bytes(columns[name])) for name, offset in template.offsets.items()]
    rows["crc"] = masked(crc32c_varying(template.body, parts))
    return rows


def _bytes(column: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers as bytes, with one more axis; bytes are returned as they are."""
    whole = np.ascontiguousarray(column)
    return whole if whole.dtype == np.uint8 else whole[..., None].view(np.uint8)


def scalars(steps: ArrayLike, columns: Mapping[str, ArrayLike], wall_times: ArrayLike) -> list[bytes]:
    """Return the framed events of many runs, each run's in one piece: steps of shape (n,), values (runs, n) a tag.

    A NaN is no value and leaves no event. Values are rounded to float32, which is what an event holds; beyond its
    range they become infinite. `wall_times` are seconds since the epoch, a number or shape (n,). A step's values share
    one event where the same tags have values at the same steps.
    """
    steps = np.ascontiguousarray(steps, np.int64)
    times = np.broadcast_to(np.asarray(wall_times, np.float64), steps.shape)
    tags = tuple(columns)
    with np.errstate(over="ignore"):
        values = np.stack([np.asarray(columns[tag], np.float32) for tag in tags])  # (tags, runs, n)
    present = ~np.isnan(values)
    runs_by_rows: dict[bytes, list[int]] = {}  # runs with values at the same rows
    for run in range(values.shape[1]):
        runs_by_rows.setdefault(present[:, run].tobytes(), []).append(run)
    framed = [b""] * values.shape[1]
    for runs in runs_by_rows.values():
        events = _scalars_of_runs(steps, times, tags, values[:, runs], present[:, runs[0]])
        for run, run_events in zip(runs, events, strict=True):
            framed[run] = run_events
    return framed


def _scalars_of_runs(
    steps: NDArray[np.int64],
    times: NDArray[np.float64],
    tags: tuple[str, ...],
    values: NDArray[np.float32],
    present: NDArray[np.bool_],
) -> list[bytes]:
    """Return the events of runs that all have values at the same rows, `present` of shape (tags, n)."""
    events: list[list[bytes]] = [[] for _ in range(values.shape[1])]
    tags_by_rows: dict[bytes, list[int]] = {}  # tags with values at the same rows share events
    for tag, rows in enumerate(present):
        tags_by_rows.setdefault(rows.tobytes(), []).append(tag)
    lengths = _varint_lengths(steps)
    for tag_indices in tags_by_rows.values():
        kept = np.flatnonzero(present[tag_indices[0]])
        for part in np.split(kept, np.flatnonzero(np.diff(lengths[kept])) + 1):
            if len(part):
                selected = values[tag_indices] if len(part) == len(steps) else values[tag_indices][..., part]
                rows = _rows(
                    steps[part], times[part], tuple(tags[n] for n in tag_indices), selected, int(lengths[part[0]])
                )
                for run, of_run in zip(events, rows, strict=True):
                    run.append(of_run.tobytes())
    return [b"".join(run) for run in events]


class EventFile:
    """One event file of one run, appended in chunks (live) or written at once (a sweep).

    A step's values share one event where the same tags have values at the same steps. Nothing reaches the disk before
    :meth:`flush`, which hands over all that is pending in one write, so a killed process leaves whole events.
    """

    def __init__(self, folder: str | Path, wall_time: float | None = None) -> None:
        """Create the file (and its folder); `wall_time` in seconds since the epoch, now unless given."""
        self.wall_time = time.time() if wall_time is None else wall_time
        name = f"events.out.tfevents.{int(self.wall_time):010d}.{os.getpid()}.{next(_file_numbers)}"
        self.path = Path(folder) / name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("xb", buffering=0)
        self._pending = [frame_record(b"\x09" + struct.pack("<d", self.wall_time) + _field(3, b"brain.Event:2"))]

    def append(self, steps: ArrayLike, columns: Mapping[str, ArrayLike], wall_times: ArrayLike | None = None) -> None:
        """Add whole columns of scalars: steps of shape (n,), values of shape (n,) a tag, as :func:`scalars` takes them.

        `wall_times` are seconds since the epoch, a number or shape (n,); now unless given.
        """
        moment = time.time() if wall_times is None else wall_times
        count = len(np.atleast_1d(steps))
        arrays = {tag: np.asarray(column, np.float64) for tag, column in columns.items()}
        for tag, column in arrays.items():
            if column.shape != (count,):
                raise ValueError(f"{tag!r} must have a value for each of {count} steps, got shape {column.shape}")
        if arrays:
            self.append_raw(scalars(steps, {tag: column[None] for tag, column in arrays.items()}, moment)[0])

    def append_raw(self, events: bytes) -> None:
        """Add framed events."""
        self._pending.append(events)

    def hparams(self, values: Mapping[str, float | str | bool], group: str | None = None) -> None:
        """Enter this run into the HParams table.

        Runs of one group (seeds) are one row of the table, with their metrics averaged; unless `group` is given, those
        with the same values. So leave out of `values` what tells the seeds of a group apart.
        """
        self._summary(session_summary(values, group, self.wall_time))

    def hparams_config(self, values: Mapping[str, Sequence[float | str | bool]], metrics: Mapping[str, str]) -> None:
        """Fix the columns of the HParams table of all runs beside and below: hyperparameters, and metrics by tag.

        TensorBoard uses one such record of all that it finds, so write it once a sweep, with the union of the
        hyperparameters. Without it the columns are collected from all runs.
        """
        self._summary(config_summary(values, metrics, self.wall_time))

    def layout(self, categories: Sequence[ChartGroup]) -> None:
        """Lay out charts of the "Custom Scalars" tab (merged over runs by title)."""
        self._summary(layout_summary(tuple(categories)))

    def image(self, tag: str, step: int, encoded: bytes, size: tuple[int, int], wall_time: float | None = None) -> None:
        """Show a picture of (width, height), encoded as PNG, JPEG or (animated) GIF, at a step."""
        self._summary(image_summary(tag, encoded, *size), step, time.time() if wall_time is None else wall_time)

    def _summary(self, summary: bytes, step: int = 0, wall_time: float | None = None) -> None:
        moment = b"\x09" + struct.pack("<d", self.wall_time if wall_time is None else wall_time)
        self._pending.append(frame_record(moment + (b"\x10" + varint(step) if step else b"") + _field(5, summary)))

    def flush(self) -> None:
        """Hand everything appended so far to the operating system."""
        while data := b"".join(self._pending):  # an unbuffered write may take less than it was given, or fail
            self._pending = [data[self._file.write(data) :]]

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if not self._file.closed:
            self.flush()
            self._file.close()
