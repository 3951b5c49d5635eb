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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rasched.train.crc32c import crc32c_varying, masked, masked_crc32c
from rasched.train.dashboard import Category, config_summary, image_summary, layout_summary, session_summary

_serial = itertools.count()
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


def record(data: bytes) -> bytes:
    """Frame one message as a TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + masked_crc32c(length) + data + masked_crc32c(data)


@dataclass(frozen=True)
class _Template:
    """One event with a value for each tag, with zeros where rows differ."""

    head: bytes  # TFRecord's length and its checksum
    body: bytes  # the Event; wall time at 1..8, the step's varint from 10 on
    values: tuple[int, ...]  # where in the body each tag's four bytes start
    step_length: int

    @property
    def places(self) -> Iterator[int]:
        yield from range(1, 9)
        yield from range(10, 10 + self.step_length)
        for start in self.values:
            yield from range(start, start + 4)


@lru_cache(maxsize=256)
def _template(tags: tuple[str, ...], step_length: int) -> _Template:
    values = [_field(1, _field(1, tag.encode()) + b"\x15" + bytes(4)) for tag in tags]
    summary = b"".join(values)
    prefix = b"\x09" + bytes(8) + b"\x10" + bytes(step_length) + b"\x2a" + varint(len(summary))
    ends = itertools.accumulate((len(value) for value in values), initial=len(prefix))
    body = prefix + summary
    length = struct.pack("<Q", len(body))
    starts = tuple(end - 4 for end in itertools.islice(ends, 1, None))
    return _Template(length + masked_crc32c(length), body, starts, step_length)


def _varint_lengths(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes that each step takes as a varint, shape (n,); ten for a negative one."""
    return 1 + np.searchsorted(_VARINT_LIMITS, steps.view(np.uint64), side="right")


def _records(
    steps: NDArray[np.int64],
    times: NDArray[np.float64],
    tags: tuple[str, ...],
    values: NDArray[np.float32],
    length: int,
) -> bytes:
    """Frame rows whose steps all take `length` bytes; values have shape (tags, n) and no NaN."""
    template = _template(tags, length)
    start = len(template.head)
    rows = np.empty((len(steps), start + len(template.body) + 4), np.uint8)
    rows[:, :start] = np.frombuffer(template.head, np.uint8)
    body = rows[:, start:-4]
    body[:] = np.frombuffer(template.body, np.uint8)
    body[:, 1:9] = times.astype("<f8").view(np.uint8).reshape(-1, 8)
    rest = steps.view(np.uint64)
    for place in range(10, 10 + length):
        body[:, place] = rest & np.uint64(0x7F) | np.uint64(0x80 if place < 9 + length else 0)
        rest = rest >> np.uint64(7)
    for place, column in zip(template.values, values, strict=True):
        body[:, place : place + 4] = column.astype("<f4").view(np.uint8).reshape(-1, 4)
    crc = masked(crc32c_varying(template.body, template.places, body))
    rows[:, -4:] = crc.astype("<u4").view(np.uint8).reshape(-1, 4)
    return rows.tobytes()


class EventFile:
    """One event file of one run, appended in chunks (live) or written at once (a sweep).

    A step's values share one event where the same tags have values at the same steps. Nothing reaches the disk before
    :meth:`flush`, which hands over all that is pending in one write, so a killed process leaves whole events.
    """

    def __init__(self, folder: str | Path, wall_time: float | None = None) -> None:
        """Create the file (and its folder); `wall_time` in seconds since the epoch, now unless given."""
        self.wall_time = time.time() if wall_time is None else wall_time
        name = f"events.out.tfevents.{int(self.wall_time):010d}.{os.getpid()}.{next(_serial)}"
        self.path = Path(folder) / name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("xb", buffering=0)
        self._pending = [record(b"\x09" + struct.pack("<d", self.wall_time) + _field(3, b"brain.Event:2"))]

    def append(self, steps: ArrayLike, columns: Mapping[str, ArrayLike], wall_times: ArrayLike | None = None) -> None:
        """Add whole columns of scalars: steps of shape (n,), values of shape (n,) a tag.

        A NaN is no value and leaves no event. Values are rounded to float32, which is what an event holds; beyond its
        range they become infinite. `wall_times` are seconds since the epoch, a number or shape (n,); now unless given.
        """
        steps = np.ascontiguousarray(steps, np.int64)
        moment = time.time() if wall_times is None else wall_times
        times = np.broadcast_to(np.asarray(moment, np.float64), steps.shape)
        alike: dict[bytes, list[str]] = {}  # tags with values at the same rows share events
        held = {tag: np.asarray(column, np.float64) for tag, column in columns.items()}
        for tag, column in held.items():
            if column.shape != steps.shape:
                raise ValueError(f"{tag!r} must have a value for each of {len(steps)} steps, got shape {column.shape}")
            alike.setdefault((~np.isnan(column)).tobytes(), []).append(tag)
        for present, tags in alike.items():
            rows = np.frombuffer(present, np.bool_)
            with np.errstate(over="ignore"):
                values = np.stack([held[tag] for tag in tags]).astype(np.float32)
            if rows.all():
                self._append_full(steps, times, tuple(tags), values)
            elif rows.any():
                self._append_full(steps[rows], times[rows], tuple(tags), values[:, rows])

    def _append_full(
        self, steps: NDArray[np.int64], times: NDArray[np.float64], tags: tuple[str, ...], values: NDArray[np.float32]
    ) -> None:
        lengths = _varint_lengths(steps)
        cuts = [0, *(np.flatnonzero(np.diff(lengths)) + 1).tolist(), len(steps)]
        for lo, hi in itertools.pairwise(cuts):
            if lo < hi:
                part = slice(lo, hi)
                self._pending.append(_records(steps[part], times[part], tags, values[:, part], int(lengths[lo])))

    def hparams(self, values: Mapping[str, float | str | bool], group: str | None = None) -> None:
        """Enter this run into the HParams table.

        Runs of one group (seeds) are one row of the table, with their metrics averaged; unless `group` is given, those
        with the same values. So leave out of `values` what tells the seeds of a group apart.
        """
        self._summary(session_summary(values, group, self.wall_time))

    def hparams_config(self, values: Mapping[str, Sequence[float | str | bool]], metrics: Sequence[str]) -> None:
        """Fix the columns of the HParams table of all runs beside and below: hyperparameters and metric tags.

        TensorBoard uses one such record of all that it finds, so write it once a sweep, with the union of the
        hyperparameters. Without it the columns are collected from all runs.
        """
        self._summary(config_summary(values, metrics, self.wall_time))

    def layout(self, categories: Sequence[Category]) -> None:
        """Lay out charts of the "Custom Scalars" tab (merged over runs by title)."""
        self._summary(layout_summary(tuple(categories)))

    def image(self, tag: str, step: int, encoded: bytes, size: tuple[int, int], wall_time: float | None = None) -> None:
        """Show a picture of (width, height), encoded as PNG, JPEG or (animated) GIF, at a step."""
        self._summary(image_summary(tag, encoded, *size), step, time.time() if wall_time is None else wall_time)

    def _summary(self, summary: bytes, step: int = 0, wall_time: float | None = None) -> None:
        moment = b"\x09" + struct.pack("<d", self.wall_time if wall_time is None else wall_time)
        self._pending.append(record(moment + (b"\x10" + varint(step) if step else b"") + _field(5, summary)))

    def flush(self) -> None:
        """Hand everything appended so far to the operating system."""
        while data := b"".join(self._pending):  # an unbuffered write may take less than it was given, or fail
            self._pending = [data[self._file.write(data) :]]

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if not self._file.closed:
            self.flush()
            self._file.close()
