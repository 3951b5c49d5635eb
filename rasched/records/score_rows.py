"""The records of runs that keep only their scores: rows in a file per batch, until the sweep's index has them all.

``sweep.json`` is the record of such a sweep. A batch writes its rows into ``.scores/`` when it ends, in one file that
is complete or not there, so that a sweep which is killed loses the batches that were in progress and no other.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rasched.errors import DamagedFileError
from rasched.records.run_json import read_json, write_json

PARTS = ".scores"
TABLE = "scores.parquet"  # for other programs: rasched reads sweep.json


def write_part(sweep_folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of a batch. Each has the entries of ``run.json``, and ``folder``, the name of its run."""
    folder = sweep_folder / PARTS
    if folder.is_symlink():
        folder.unlink()
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{name}.json", {"runs": list(rows)})


def read_parts(sweep_folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of all batches by the names of their runs; a damaged file is left out with a warning."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted((sweep_folder / PARTS).glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
        try:
            part = [(str(row["folder"]), dict(row)) for row in read_json(path)["runs"]]
        except (OSError, DamagedFileError, KeyError, TypeError, ValueError) as error:
            warnings.warn(f"{path} is left out, so its runs count as missing: {error}", RuntimeWarning, stacklevel=2)
            continue
        add_rows(rows, part)
    return rows


def add_rows(rows: dict[str, dict[str, Any]], later: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Let later rows replace earlier ones, but none that is done by one that is not."""
    for name, row in later:
        if row.get("status") == "done" or rows.get(name, {}).get("status") != "done":
            rows[name] = row


def delete_parts(sweep_folder: Path) -> None:
    """Delete the files of the batches, whose rows the index has."""
    shutil.rmtree(sweep_folder / PARTS, ignore_errors=True)
