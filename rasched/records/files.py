"""Write files in a run's folder: whole or not at all, and never through a symbolic link.

A folder may come from somebody else. A link in it that stands where a file is to be written would lead the write to
another place, so a new file replaces the link itself, and a file that grows is opened without following one.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
_NEW = ".new"  # the end of a temporary file's name


def write_file(path: Path, content: bytes | str, durable: bool = False) -> None:
    """Write a file: readers, and a kill, see the old content or the new one.

    With ``durable`` the new content is on the disk when this returns, also after a power cut. Raises OSError, which
    leaves the old file as it was.
    """
    temporary = path.with_name(path.name + _NEW)
    try:
        file = create_file(temporary)
        try:
            data = memoryview(content.encode() if isinstance(content, str) else content)
            while data:  # an unbuffered write may take less than it was given
                data = data[file.write(data) :]
            if durable:
                os.fsync(file.fileno())
        finally:
            file.close()
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def create_file(path: Path) -> FileIO:
    """Open a new file for unbuffered writing, in place of one or a link that is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, flags, 0o666)
    except FileExistsError:
        path.unlink()
        number = os.open(path, flags, 0o666)
    return FileIO(number, "wb")


def open_to_append(path: Path) -> FileIO:
    """Open an existing file for unbuffered writing at its end. Raises OSError if it is a symbolic link."""
    number = os.open(path, os.O_RDWR | os.O_APPEND | _NO_FOLLOW | getattr(os, "O_BINARY", 0))
    file = FileIO(number, "r+b")
    file.seek(0, os.SEEK_END)
    return file


def sync_folder(folder: Path) -> None:
    """Let renames in a folder survive a power cut; nothing is done on systems where folders cannot be opened."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
