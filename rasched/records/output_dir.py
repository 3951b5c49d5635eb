"""Folders of runs and sweeps: their names, their creation, and the lock of a folder that is in use."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rasched.errors import UsageError

# conf/hydra/output/dated.yaml names job folders by this; anything else there is resolved by OmegaConf
OUR_SUBDIR = "${rasched.job_folder:${hydra.job.num},${hydra.job.override_dirname}}"
# what a run writes, and the temporary files of a process that was killed
_RECORDS = (
    "run.json*",
    "metrics.*",
    "events.out.tfevents.*",
    "checkpoint*.pt*",
    "policy.pt*",
    "lr_vs_reward.*",
    "video.gif*",
    "eval.gif*",
)
_MAX_NAME_BYTES = 120  # bytes of a folder name: file systems end at 255, and paths of 4,096 hold several


def job_folder(num: int | str, overrides: str) -> str:
    """Return the name of a job's folder in its sweep, as in ``3_rule=kelly,seed=1``.

    The number makes it unique. Characters that are special for a file system or a shell become ``_``. A name that is
    too long is cut and gets a hash of the whole: one of more than 255 bytes would end the sweep.
    """
    plain = re.sub(r"[^\w=,.+-]", "_", overrides)
    name = f"{num}_{plain}" if plain else str(num)
    if len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(overrides.encode(), digest_size=4).hexdigest()
    return f"{name.encode()[: _MAX_NAME_BYTES - 9].decode(errors='ignore')}-{digest}"


def is_timestamped(template: str) -> bool:
    """Return whether a folder is named by the time of its creation, so that another name is as good."""
    return "${now:" in template


def create_output_dir(folder: Path, dated: bool, setting: str = "hydra.run.dir") -> Path:
    """Create and return the folder of a run or sweep; ``setting`` is what the user sets to choose it.

    A ``dated`` folder that exists (two runs in one second) gets a suffix, as in ``12-30-05_1``. A folder that the user
    named may exist, but must be empty. Raises UsageError if it is not, or if it cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if dated:
            return _first_free(folder)
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(
                f"{folder} is not empty; records are never overwritten: name another folder or delete this one"
            )
    except OSError as error:
        raise UsageError(
            f"the output folder {folder} cannot be made ({error.strerror}); run from a folder where you may write, "
            f"or name another with {setting}=..."
        ) from error
    return folder


def delete_records(folder: Path) -> None:
    """Delete the files that an earlier attempt wrote in a run's folder; other files stay."""
    for pattern in _RECORDS:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _first_free(folder: Path) -> Path:
    number = 0
    while True:
        candidate = folder.with_name(f"{folder.name}_{number}") if number else folder
        try:
            candidate.mkdir()
        except FileExistsError:
            number += 1
        else:
            return candidate


@contextmanager
def lock_dir(folder: Path, shared: bool = False) -> Iterator[tuple[int, ...]]:
    """Lock a folder, so that one command at a time writes there; the system releases the lock when its holders end.

    A ``shared`` lock is one of several: the jobs of another launcher train in one sweep, each in a run's folder of its
    own. Yields the open files that hold the lock, for workers to inherit; none on a system without such locks. Raises
    UsageError if another process holds it, or a worker of one that has died.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield ()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{folder} is being worked on by another process; wait for its end, or stop it") from error
        except OSError:  # a file system without locks
            yield ()
            return
        yield (handle,)
    finally:
        os.close(handle)


@contextmanager
def lock_empty_dir(folder: Path, shared: bool = False) -> Iterator[tuple[int, ...]]:
    """Hold the lock of a new output folder; a UsageError if another command was faster and has written into it."""
    with lock_dir(folder, shared) as lock_files:
        if any(folder.iterdir()):
            raise UsageError(f"{folder} was taken by another command at the same moment; name another folder")
        yield lock_files
