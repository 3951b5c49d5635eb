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
    """Return the name of a job's folder in its sweep, as in ``3_kelly,lr=0.1,s1`` for the job 3.

    The number makes it unique. Characters that are special for a file system or a shell become ``_``. A name that is
    too long is cut and gets a hash of the whole: one of more than 255 bytes would end the sweep.
    """
    text = shorten_overrides(overrides)
    return plain_name(f"{num}_{text}").replace(" ", "_") if text else str(num)


def plain_name(text: str) -> str:
    """Return a text as the name of a folder: without special characters, cut with a hash of the whole if too long."""
    name = re.sub(r"[^\w=,.+ -]", "_", text)
    if len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{name.encode()[: _MAX_NAME_BYTES - 9].decode(errors='ignore')}-{digest}"


def shorten_overrides(overrides: str) -> str:
    """Return overrides for a narrow column: ``optimizer.lr=0.1,rule=kelly,seed=1`` as ``kelly,lr=0.1,s1``.

    Rule and base rate come first, the seed last. A setting is named by the last part of its name if no other one has
    the same.
    """
    pairs = [part.partition("=") for part in re.split(r",(?=[+~]*[\w./@-]+=)", overrides)]
    keys = [key.lstrip("+~") for key, _, _ in pairs]
    last_parts = [key.rpartition(".")[2] for key in keys]
    named = []
    for key, last_part, (_, equals, value) in zip(keys, last_parts, pairs, strict=True):
        if key == "rule" and value:
            named.append((0, value))
        elif key == "seed" and value.isdecimal():
            named.append((3, f"s{value}"))
        else:
            name = last_part if last_parts.count(last_part) == 1 else key
            named.append((1 if key == "optimizer.lr" else 2, f"{name}{equals}{value}"))
    return ",".join(text for _, text in sorted(named, key=lambda item: item[0]))


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
