"""Checkpoints of the runs that train together: the state of all in one file, and their rows in another.

A single run has its checkpoint in its own folder, and its rows in its journal. A batch has three files in the folder
``.batches`` of its sweep: the state, the rows so far, and which runs they belong to. They are deleted when the batch is
complete. A resumed sweep trains the same runs in one batch again, from there, with the same bytes.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.errors import DamagedFileError
from rasched.records.batch_rows import BatchRowsFile
from rasched.records.run_json import read_json, write_json
from rasched.runner.run_spec import Batch, RunSpec

if TYPE_CHECKING:
    from rasched.records.recorder import Recorder

BATCHES_DIR = ".batches"


class BatchCheckpoint:
    """The checkpoint of some runs that train together, which need not exist."""

    def __init__(self, specs: Sequence[RunSpec]) -> None:
        self.specs = specs
        self.is_batch = len(specs) > 1 or specs[0].only_scores
        runs = [f"{spec.folder.name} {spec.config_hash}" for spec in specs]
        self.digest = hashlib.blake2b("\n".join(runs).encode(), digest_size=8).hexdigest()
        self._folder = _parent(specs[0]) / BATCHES_DIR
        self.rows_file: BatchRowsFile | None = None
        if self.is_batch:
            self.path = self._folder / f"{self.digest}.pt"
            self.rows_file = BatchRowsFile(self.path.with_suffix(".rows"))
            self._hash = self.digest
        else:
            from rasched.records.checkpoint import CHECKPOINT

            self.path = specs[0].folder / CHECKPOINT
            self._hash = specs[0].config_hash + (" batched" if specs[0].batched else "")

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, or None if there is none. Raises CheckpointError if it cannot be used."""
        from rasched.records.checkpoint import load_checkpoint

        try:
            state = load_checkpoint(self.path, self._hash)
        except FileNotFoundError:
            return None
        if self.is_batch:
            self.rows_file = BatchRowsFile(self.path.with_suffix(".rows"), state["rows_end"])
        return state

    def save(self, state: dict[str, Any], recorder: Recorder) -> None:
        """Write the rows so far and then the state; when this returns, both are on the disk."""
        from rasched.records.checkpoint import save_checkpoint

        if self.is_batch:
            self._write_manifest()
        recorder.flush(durable=True)  # the state relies on the rows before it
        if self.rows_file is not None:
            state = {**state, "rows_end": self.rows_file.end}
        save_checkpoint(self.path, state, self._hash)

    def delete(self) -> None:
        """Delete the files of a batch, which is complete or cannot be continued."""
        from rasched.records.checkpoint import delete_checkpoint

        if self.rows_file is not None:
            self._manifest.unlink(missing_ok=True)
            delete_checkpoint(self.path)
            self.rows_file.delete()
            if self._folder.is_dir() and not any(self._folder.iterdir()):
                self._folder.rmdir()
        elif self.specs[0].batched:
            delete_checkpoint(self.path)

    @property
    def _manifest(self) -> Path:
        return self.path.with_suffix(".json")

    def _write_manifest(self) -> None:
        if self._manifest.exists():
            return
        if self._folder.is_symlink():
            self._folder.unlink()
        self._folder.mkdir(exist_ok=True)
        runs = [{"folder": spec.folder.name, "config_hash": spec.config_hash} for spec in self.specs]
        write_json(self._manifest, {"runs": runs})


def find_batches(specs: Sequence[RunSpec], unfinished: Collection[Path]) -> list[Batch]:
    """Return the batches of a sweep that have a checkpoint and a run in one of the ``unfinished`` folders.

    A batch whose file is damaged, or whose runs are not all of this sweep, is left out with a warning.
    """
    from rasched.train.batching import unbatchable_reason

    by_run = {(spec.folder.name, spec.config_hash): replace(spec, is_retry=True) for spec in specs}
    batches: list[Batch] = []
    for folder in dict.fromkeys(_parent(spec) / BATCHES_DIR for spec in specs):
        for path in sorted(folder.glob("*.json")):
            try:
                runs = [by_run.pop(_key(run)) for run in read_json(path)["runs"]]
            except (OSError, DamagedFileError, KeyError, TypeError) as error:
                message = f"{path} cannot be used, so its runs start again: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=2)
            else:
                if any(run.folder in unfinished for run in runs):
                    batches.append(Batch.of(runs, unbatchable_reason(runs[0].settings) if len(runs) == 1 else None))
                else:
                    BatchCheckpoint(runs).delete()
    return batches


def _parent(spec: RunSpec) -> Path:
    """Return the folder of the checkpoint's folder; a run that keeps only scores has none of its own."""
    return spec.sweep_folder if spec.only_scores and spec.sweep_folder else spec.folder.parent


def _key(run: Mapping[str, str]) -> tuple[str, str]:
    return run["folder"], run["config_hash"]
