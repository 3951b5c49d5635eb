"""Checkpoints that survive a kill, a power cut and a flipped bit, and that belong to one configuration.

``torch.save`` writes in place, so a kill in the middle destroys the old file, and ``torch.load`` checks no sums. Here
the new file is complete on the disk before it replaces the old one, and the old one is kept. The digest of all bytes is
in the file itself, as the comment of the zip archive that ``torch.save`` writes: plain ``torch.load`` still reads the
file, and a kill cannot part the digest from it.
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

from rasched.errors import CheckpointError
from rasched.records.files import sync_folder, write_file

CHECKPOINT = "checkpoint.pt"
_DIGEST_SIZE = hashlib.sha256().digest_size
_END_OF_ARCHIVE = b"PK\x05\x06"
_END_SIZE = 22  # bytes of the archive's last record; the last two are the length of the comment


def previous_path(path: Path) -> Path:
    """Return the path of the checkpoint before the newest: ``checkpoint.previous.pt`` beside ``checkpoint.pt``."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def save_checkpoint(path: Path, state: dict[str, Any], config_hash: str) -> None:
    """Write a checkpoint. When this returns it is on the disk, and the one before is kept (:func:`previous_path`).

    ``state`` holds tensors and plain Python values, in dicts, lists and tuples: ``weights_only=True`` loads no more.
    ``config_hash`` names the configuration whose training it continues. Raises OSError, with the old file unchanged.
    """
    content = seal({"config_hash": config_hash, "state": state})
    complete = path.with_name(path.name + ".complete")
    write_file(complete, content, durable=True)
    if path.exists():
        os.replace(path, previous_path(path))
    os.replace(complete, path)
    sync_folder(path.parent)


def load_checkpoint(path: Path, config_hash: str) -> dict[str, Any]:
    """Return the state in the newest checkpoint that can be used; a warning says if it is not the last one.

    Raises FileNotFoundError if there is none, and CheckpointError if none of those there can be used, or one belongs to
    another configuration.
    """
    existing = [candidate for candidate in (path, previous_path(path)) if candidate.exists()]
    if not existing:
        raise FileNotFoundError(f"there is no checkpoint at {path}")
    reasons = [] if path in existing else [f"{path} is missing"]
    for candidate in existing:
        try:
            content = _load(candidate)
        except (CheckpointError, OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
            reasons.append(f"{candidate} cannot be used: {error}")
            continue
        if content["config_hash"] != config_hash:
            raise CheckpointError(
                f"{candidate} belongs to another configuration ({content['config_hash']}) than this run's"
                f" ({config_hash}): move it away to train from the start"
            )
        if reasons:
            warnings.warn(f"{'; '.join(reasons)}; continuing from {candidate}", RuntimeWarning, stacklevel=2)
        state: dict[str, Any] = content["state"]
        return state
    raise CheckpointError("; ".join(reasons) + ": move it away to train from the start")


def delete_checkpoint(path: Path) -> None:
    """Delete a checkpoint and the one before it."""
    for existing in (path, previous_path(path), path.with_name(path.name + ".complete")):
        existing.unlink(missing_ok=True)


def seal(content: dict[str, Any]) -> bytes:
    """Return the bytes of a file that ``torch.save`` would write, with their digest at the end."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    archive = buffer.getvalue()
    assert archive[-_END_SIZE:].startswith(_END_OF_ARCHIVE), "torch.save no longer writes a zip without a comment"
    sealed = archive[:-2] + struct.pack("<H", _DIGEST_SIZE)
    return sealed + hashlib.sha256(sealed).digest()


def unseal(data: bytes) -> Any:
    """Return what :func:`seal` was given; CheckpointError if the digest does not match."""
    sealed, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    if hashlib.sha256(sealed).digest() != digest:
        raise CheckpointError(f"its {len(data)} bytes do not match their checksum (it was cut short or changed)")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _load(path: Path) -> dict[str, Any]:
    content = unseal(path.read_bytes())
    if not isinstance(content, dict) or content.keys() != {"config_hash", "state"}:
        raise CheckpointError("it is no checkpoint of a run")
    return content
