"""``run.json``: what a run is, how it ended and what made it, replaced as a whole at every change."""

from __future__ import annotations

import errno
import json
import warnings
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rasched.errors import DamagedFileError
from rasched.records.files import write_file
from rasched.records.safe_read import MAX_JSON_BYTES, read_bounded

RECORD = "run.json"
_CHECKSUM = "crc32"


def now() -> str:
    """Return the current time in UTC, to the millisecond, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_json(path: Path, entries: Mapping[str, Any]) -> None:
    """Write a file of JSON with a checksum of its entries; a reader, or a kill, sees the old file or the new one."""
    text = format_json({**entries, _CHECKSUM: _checksum(entries)})
    try:
        write_file(path, text)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not path.is_file() or path.is_symlink():
            raise
        path.write_text(text, encoding="utf-8")  # a full disk still has room for what replaces a file of its size


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of JSON. Raises FileNotFoundError, or DamagedFileError if it is not what :func:`write_json` wrote.

    A file without a checksum is accepted.
    """
    try:
        entries = json.loads(read_bounded(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path} is damaged: it is no JSON ({error})") from error
    if not isinstance(entries, dict):
        raise DamagedFileError(f"{path} is damaged: it must hold one JSON object")
    checksum = entries.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(entries):
        raise DamagedFileError(f"{path} is damaged: its entries do not match its checksum")
    return entries


def _checksum(entries: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(entries, sort_keys=True).encode())


def format_json(entries: Mapping[str, Any]) -> str:
    """Return JSON with one line per entry, and one per row of a table; ``indent`` would take five times as long."""
    lines = (f"  {json.dumps(key)}: {_format_entry(value)}" for key, value in entries.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _format_entry(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n    " + ",\n    ".join(map(json.dumps, value)) + "\n  ]"
    return json.dumps(value)


def read_record(folder: Path) -> dict[str, Any]:
    """Return the entries of ``run.json``; none if there is no such file, and none with a warning if it is damaged."""
    try:
        return read_json(folder / RECORD)
    except FileNotFoundError:
        return {}
    except (OSError, DamagedFileError) as error:
        warnings.warn(f"{error}; the run counts as one that has not ended", RuntimeWarning, stacklevel=2)
        return {}


class RunJson:
    """The ``run.json`` of one run; :meth:`update` changes entries and writes the file."""

    def __init__(self, folder: Path, **entries: Any) -> None:
        self.folder = folder
        self.entries: dict[str, Any] = entries

    @classmethod
    def of(cls, folder: Path, **entries: Any) -> RunJson:
        """Return the record in a folder, with these entries if it has none of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, **{**entries, "scores": {}, **read_record(folder)})

    def update(self, **entries: Any) -> None:
        """Set entries and write ``run.json``."""
        self.entries |= entries
        write_json(self.folder / RECORD, self.entries)


class UnwrittenRunJson(RunJson):
    """The same of a run that keeps only its scores, in a row of its sweep."""

    def update(self, **entries: Any) -> None:
        """Set entries."""
        self.entries |= entries
