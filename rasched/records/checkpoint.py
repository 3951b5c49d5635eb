"""Checkpoints that survive a kill, a power cut and a flipped bit.

`torch.save` writes in place: a kill in the middle destroys the old file; and `torch.load` checks no sums. Here the new
file is complete on the disk before it takes the old one's place, the old one is kept, and a digest of all bytes
travels in the file itself, as the comment of the zip archive that `torch.save` writes: one file that plain `torch.load`
still reads, where a digest in a second file could be separated from it by a kill.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import torch

PREVIOUS = "previous"
_DIGEST = hashlib.sha256().digest_size
_END_OF_ARCHIVE = b"PK\x05\x06"
_END_SIZE = 22  # bytes of the archive's last record; the last two are the length of the comment


class CheckpointError(RuntimeError):
    """No checkpoint could be read."""


def previous(path: str | Path) -> Path:
    """Where the checkpoint before the newest is: `checkpoint.previous.pt` beside `checkpoint.pt`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.{PREVIOUS}{path.suffix}")


def save(path: str | Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; when this returns it is on the disk, and the one before is kept as :func:`previous`.

    `state` holds tensors and plain Python values, nested in dicts, lists and tuples: `weights_only=True` loads no more.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(_sealed(state))
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        path.replace(previous(path))
    temporary.replace(path)
    _sync_folder(path.parent)


def load(path: str | Path, map_location: str | torch.device | None = None) -> dict[str, Any]:
    """Read the newest checkpoint that is whole; warn where that is not the last one.

    A FileNotFoundError says that there is none, a CheckpointError that none of those there is whole.
    """
    path = Path(path)
    found = [candidate for candidate in (path, previous(path)) if candidate.exists()]
    if not found:
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    reasons = [] if path in found else [f"{path} is missing"]
    for candidate in found:
        try:
            state = _opened(candidate, map_location)
        except (CheckpointError, OSError, RuntimeError, pickle.UnpicklingError) as error:
            reasons.append(f"{candidate} cannot be used: {error}")
            continue
        if reasons:
            warnings.warn(f"{'; '.join(reasons)}; going on from {candidate}", RuntimeWarning, stacklevel=2)
        return state
    raise CheckpointError("; ".join(reasons))


def _sealed(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    archive = buffer.getvalue()
    assert archive[-_END_SIZE:].startswith(_END_OF_ARCHIVE), "torch.save no longer writes a zip without a comment"
    sealed = archive[:-2] + struct.pack("<H", _DIGEST)
    return sealed + hashlib.sha256(sealed).digest()


def _opened(path: Path, map_location: str | torch.device | None) -> dict[str, Any]:
    data = path.read_bytes()
    sealed, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hashlib.sha256(sealed).digest() != digest:
        raise CheckpointError(f"its {len(data)} bytes do not match their checksum (it was cut short or changed)")
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=map_location, weights_only=True)
    return state


def _sync_folder(folder: Path) -> None:
    """Make the renames themselves survive a power cut; there is nothing to do where folders cannot be opened."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
