"""Folders of runs: named, reserved once, never written twice."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from rasched.errors import UsageError

# conf/hydra/output/dated.yaml names job folders by this; anything else there is resolved by OmegaConf
OUR_SUBDIR = "${rasched.job_folder:${hydra.job.num},${hydra.job.override_dirname}}"
# what a run writes, and the temporary files of a try that was killed
_RECORDS = (
    "run.json",
    ".run.json.*",
    "metrics.*",
    "events.out.tfevents.*",
    "checkpoint*.pt*",
    "lr_vs_reward.png",
    "video.gif",
)
_LONGEST = 120  # bytes of a folder name: file systems end at 255, and paths of 4,096 hold several


def job_folder(num: int | str, overrides: str) -> str:
    """Return a job's folder name inside its sweep: ``3_rule=kelly,seed=1``.

    The number makes it unique. What a file system or a shell takes amiss becomes ``_``; what is too long is cut, with a
    hash of the whole, since a name over 255 bytes would end the sweep.
    """
    plain = re.sub(r"[^\w=,.+-]", "_", overrides)
    name = f"{num}_{plain}" if plain else str(num)
    if len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.blake2b(overrides.encode(), digest_size=4).hexdigest()
    return f"{name.encode()[: _LONGEST - 9].decode(errors='ignore')}-{digest}"


def is_timestamped(template: str) -> bool:
    """Return whether a folder is named by the clock, so that another name serves as well."""
    return "${now:" in template


def create_output_dir(folder: Path, dated: bool, setting: str = "hydra.run.dir") -> Path:
    """Create and return the folder of a run or sweep, so that no other can take it; ``setting`` is the user's word.

    A dated folder that exists (two runs in one second) gets a suffix, ``12-30-05_1``. A folder that the user named may
    exist, but must not hold a run already: that is a UsageError, and so is a folder that cannot be made.
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


def clear(folder: Path) -> None:
    """Delete the records that an earlier try left in a run's folder; whatever else stands there stays."""
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
