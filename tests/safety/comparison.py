"""What a run or a sweep has left, for comparison with one that nothing disturbed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

EVENTS = "events.out.tfevents.*"


@dataclass
class Records:
    """Per run folder: the bytes of the table, the scores, the scalar events, the checkpoint's state, and the policy."""

    tables: dict[str, bytes] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    events: dict[str, list[Any]] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)

    def difference(self, other: Records) -> str:
        """Return in what the other records differ; nothing if they are equal."""
        for name, ours in vars(self).items():
            theirs = vars(other)[name]
            if ours.keys() != theirs.keys():
                return f"{name} of other runs: {sorted(ours.keys() ^ theirs.keys())[:3]}"
            for run, value in ours.items():
                if not is_equal(value, theirs[run]):
                    return f"other {name} of {run}"
        return ""


def read_records(folder: Path) -> Records:
    """Read what stands in a folder; a run that is not done has no scores."""
    records = Records()
    for path in sorted(folder.rglob("run.json")):
        run, name = path.parent, str(path.parent.relative_to(folder))
        record = json.loads(path.read_text())
        if record["status"] == "done":
            records.scores[name] = record["scores"]
            records.tables[name] = (run / "metrics.parquet").read_bytes()
        if (run / "checkpoint.pt").exists():
            records.states[name] = torch.load(run / "checkpoint.pt", weights_only=True)["state"]
        if (run / "policy.pt").exists():
            records.policies[name] = torch.load(run / "policy.pt", weights_only=True)
        records.events[name] = [sorted(read_events(events)) for events in sorted(run.glob(EVENTS))]
    return records


def leftovers(folder: Path) -> list[str]:
    """Return the files that a finished run or sweep should not have."""
    patterns = ("*.new", "*.complete", "metrics.jsonl", ".batches", "*.rows")
    return [str(path.relative_to(folder)) for pattern in patterns for path in folder.rglob(pattern)]


def read_events(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield step, tag and value of each scalar in an event file."""
    from tensorboard.compat.proto.event_pb2 import Event

    data, position = path.read_bytes(), 0
    while position < len(data):
        (size,) = struct.unpack_from("<Q", data, position)
        event = Event.FromString(data[position + 12 : position + 12 + size])
        position += 12 + size + 4
        for value in event.summary.value:
            if value.HasField("simple_value"):
                yield event.step, value.tag, value.simple_value


def is_equal(a: Any, b: Any) -> bool:
    """Return whether two nested values are equal, bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and _bits(a) == _bits(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(is_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(is_equal, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()
