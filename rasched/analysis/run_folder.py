"""Folders of runs and sweeps as values. Only records are read: nothing that a folder names is imported or executed.

This module imports neither polars nor torch, since ``rasched ls`` must not wait for them.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.errors import DamagedFileError, UsageError
from rasched.records.run_json import RECORD, read_json
from rasched.records.safe_read import MAX_YAML_BYTES, load_yaml, read_bounded
from rasched.records.score_rows import read_parts

if TYPE_CHECKING:
    import polars as pl

    from rasched.train.policy import Policy

INDEX = "sweep.json"
POLICY = "policy.pt"
CONTROL_DIR = "control"  # the constant-rate run inside the folder of a single run
_METRICS = ("metrics.parquet", "metrics.journal", "metrics.jsonl")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")  # a stranger's name must not move a terminal's cursor


@dataclass(frozen=True)
class Run:
    """What one run left. ``record`` is its ``run.json``; other files are read when they are first asked for.

    A run of a sweep that has not started has no folder yet, and the status ``missing``.
    """

    folder: Path
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sweep: Path = Path()  # the folder that it was found through
    known_settings: Mapping[str, Any] | None = field(default=None, repr=False)  # as the sweep's index has them
    only_scores: bool = field(default=False, repr=False)  # the sweep's index is its record, and it has no curves

    @property
    def status(self) -> str:
        """One of done, failed, interrupted, running and missing."""
        return printable(self.record.get("status", "missing"))

    @property
    def seed(self) -> int | None:
        """The seed; None if the record does not say."""
        seed = self.record.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def steps(self) -> int | None:
        """Environment steps that were done."""
        steps = self.record.get("steps")
        return steps if isinstance(steps, int) else None

    @property
    def error(self) -> str | None:
        """Why the run failed, if it did."""
        error = self.record.get("error")
        return None if error is None else printable(error)

    @property
    def started_at(self) -> str | None:
        """The moment of its start in UTC, in ISO 8601."""
        moment = self.record.get("started_at")
        return None if moment is None else printable(moment)

    @property
    def config_hash(self) -> str | None:
        """The hash of all settings that decide the run's numbers."""
        config_hash = self.record.get("config_hash")
        return None if config_hash is None else str(config_hash)

    @cached_property
    def overrides(self) -> list[str]:
        """The overrides that the run was started with."""
        return [printable(line) for line in self.record.get("overrides", [])]

    @cached_property
    def scores(self) -> dict[str, float]:
        """The scores that are numbers (:func:`rasched.records.scores.scores`)."""
        found = self.record.get("scores", {})
        return {printable(name): float(value) for name, value in found.items() if isinstance(value, (int, float))}

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """All settings, flat, as one types them: ``{"rule.name": "kelly", "rule.gain": 0.2}``."""
        return flatten(self.config) if self.known_settings is None else self.known_settings

    @cached_property
    def config(self) -> dict[str, Any]:
        """The composed settings of ``.hydra/config.yaml``; empty if there are none.

        Raises:
            DamagedFileError: The file cannot be read, or is not the one that the run was started with.

        """
        path = self.folder / ".hydra" / "config.yaml"
        try:
            crc32 = self.record.get("config_crc32")
            if crc32 is not None and zlib.crc32(read_bounded(path, MAX_YAML_BYTES).encode()) != crc32:
                raise DamagedFileError(f"{path} is damaged: it does not match the checksum in {RECORD}")
            return dict(load_yaml(path) or {})
        except FileNotFoundError:
            return {}
        except TypeError as error:
            raise DamagedFileError(f"{path} holds no settings") from error

    @cached_property
    def metrics(self) -> pl.DataFrame:
        """``step`` (int64) and float64 columns at full resolution; null if a step has no value.

        Raises:
            UsageError: Its sweep keeps only scores.
            FileNotFoundError: It recorded nothing.

        """
        require_curves([self])
        from rasched.records.metrics import read_metrics

        return read_metrics(self.folder)

    @property
    def has_policy(self) -> bool:
        """Whether the trained policy was kept (``logger.keep_policy``)."""
        return (self.folder / POLICY).is_file()

    def policy(self, trust: bool = False) -> Policy:
        """Return the trained policy, whose ``act(observation)`` gives the action for an observation.

        Args:
            trust: Import the user's own classes that the file names, if there are any.

        Raises:
            UsageError: No policy was kept, or it needs code of its own and is not trusted.
            DamagedFileError: The file cannot be read.

        """
        from rasched.records.policy_file import load_policy

        return load_policy(self.folder, trust)


@dataclass(frozen=True)
class SweepRecord:
    """What ``sweep.json`` says of a sweep."""

    folder: Path
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def only_scores(self) -> bool:
        """Whether the index is the record of the runs, which have no folders."""
        return self.record.get("files") == "scores"

    @cached_property
    def rows(self) -> Mapping[str, Mapping[str, Any]]:
        """What the index says of each run, by the name of its folder inside the sweep's."""
        found = self.record.get("runs", [])
        rows = {str(row["folder"]): row for row in found if isinstance(row, dict) and "folder" in row}
        if self.only_scores:
            for name, row in read_parts(self.folder).items():  # of a sweep that is in progress, or was killed
                rows[name] = {**rows.get(name, {}), **row}
        return rows

    def settings_of(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a run's settings, flat, as they were when the sweep began; None if the index does not have them."""
        common, own = self.record.get("settings"), row.get("settings")
        return {**common, **own} if isinstance(common, dict) and isinstance(own, dict) else None


def read_sweep(folder: Path) -> SweepRecord:
    """Read a sweep's index; DamagedFileError if it cannot be read."""
    return SweepRecord(folder, _read_json(folder / INDEX))


def find_runs(folder: Path, damaged: list[str] | None = None) -> Iterator[Run]:
    """Yield the runs at and below a folder in natural order: numbers by value, 2 before 10.

    Inside a single run's folder only its control is looked for. Links to folders are not followed, since they may lead
    in circles. A record that cannot be read leaves its run out, and a sentence in ``damaged``.
    """
    damaged = [] if damaged is None else damaged
    yield from _find(folder, folder, None, damaged)


def _find(folder: Path, found_through: Path, index: SweepRecord | None, damaged: list[str]) -> Iterator[Run]:
    with os.scandir(folder) as entries:
        names = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    if RECORD in names or any(name in names for name in _METRICS):
        yield from _open(folder, found_through, index, damaged)
        if CONTROL_DIR in names:
            yield from _find(folder / CONTROL_DIR, found_through, None, damaged)
        return
    if INDEX in names:
        index, found_through = _index_of(folder, damaged), folder
    folders = sorted((name for name, is_dir in names.items() if is_dir and name[0] not in "._"), key=_natural)
    for name in folders:
        yield from _find(folder / name, found_through, index, damaged)
    if index is not None and index.folder == folder:
        yield from _only_scores(index, damaged) if index.only_scores else _not_started(index, set(folders))


def _open(folder: Path, found_through: Path, index: SweepRecord | None, damaged: list[str]) -> Iterator[Run]:
    row = index.rows.get(os.path.relpath(folder, index.folder), {}) if index else {}
    try:
        record = _checked(folder / RECORD, _read_json(folder / RECORD)) if (folder / RECORD).exists() else {}
    except DamagedFileError as error:
        damaged.append(f"{error}; the run is left out")
        return
    yield Run(folder, record, found_through, index.settings_of(row) if index else None)


def _index_of(folder: Path, damaged: list[str]) -> SweepRecord:
    try:
        return read_sweep(folder)
    except DamagedFileError as error:
        damaged.append(f"{error}; its runs are read all the same")
        return SweepRecord(folder)


def _only_scores(index: SweepRecord, damaged: list[str]) -> Iterator[Run]:
    shared = {name: index.record[name] for name in ("versions", "git", "command") if name in index.record}
    for name, row in index.rows.items():
        try:
            record = _checked(index.folder / INDEX, {**shared, **row})
        except DamagedFileError as error:
            damaged.append(f"{error}; the run is left out")
        else:
            yield Run(index.folder / name, record, index.folder, index.settings_of(row), only_scores=True)


def _not_started(index: SweepRecord, folders: set[str]) -> Iterator[Run]:
    for name, row in index.rows.items():
        if name not in folders and isinstance(row.get("overrides"), list):
            record = {"status": "missing", "overrides": row["overrides"], "seed": row.get("seed")}
            yield Run(index.folder / name, record, index.folder, index.settings_of(row))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, RecursionError) as error:
        raise DamagedFileError(f"{path} cannot be read: {_first_line(error)}") from error


def _checked(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record whose entries have the types that readers count on."""
    for name, kind in (("overrides", list), ("scores", dict), ("versions", dict), ("git", dict), ("command", list)):
        if not isinstance(record.get(name, kind()), kind):
            raise DamagedFileError(f"{path} is damaged: {name} is no {kind.__name__}")
    return record


def require_curves(runs: Iterable[Run]) -> None:
    """Raise a UsageError if a run keeps only its scores."""
    run = next((run for run in runs if run.only_scores), None)
    if run is not None:
        raise UsageError(
            f"{run.sweep} has scores and no curves, since logger=scores trained it; for curves, train it again without"
        )


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings flat: ``{"rule": {"name": "kelly"}}`` -> ``{"rule.name": "kelly"}``."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def printable(value: object) -> str:
    """Return text without control characters, which could make a terminal do what a stranger's file says."""
    return _CONTROL_CHARACTERS.sub(" ", str(value))


def check_folder(folder: str | Path) -> Path:
    """Return a folder that exists; a UsageError otherwise."""
    path = Path(folder)
    if not path.is_dir():
        if (path.parent / INDEX).is_file() and read_sweep(path.parent).only_scores:
            raise UsageError(f"the runs of {path.parent} have no folders (logger=scores); name the sweep's own folder")
        raise UsageError(f"there is no folder {folder}; name the folder of a run or a sweep, as outputs/<date>/<time>")
    return path


def _natural(name: str) -> tuple[int, int, str]:
    """Sort numbers by value, with or without a name behind them, and before names."""
    number = re.match(r"\d+", name)
    return (0, int(number[0]), name) if number else (1, 0, name)


def _first_line(error: BaseException) -> str:
    return printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
