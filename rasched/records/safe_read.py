"""Read files that a stranger may have written, in bounded time, memory and depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rasched.errors import DamagedFileError

MAX_YAML_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 30  # the index of a million runs
_MAX_DEPTH = 50


def load_yaml(path: Path) -> Any:
    """Return the plain values of a YAML file.

    Raises DamagedFileError for a file that is too large or too deep, or that has aliases: a few lines of them stand for
    billions of values.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, but not built everywhere
    text = read_bounded(path, MAX_YAML_BYTES)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                raise DamagedFileError(f"{path} cannot be read: it has aliases, which no file of rasched has")
            if depth > _MAX_DEPTH:
                raise DamagedFileError(f"{path} cannot be read: it is nested more than {_MAX_DEPTH} levels deep")
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def read_bounded(path: Path, max_bytes: int) -> str:
    """Return the text of a file; DamagedFileError if it is larger than ``max_bytes`` or no UTF-8."""
    try:
        if not path.is_file():  # not a pipe or a device, which may never end
            raise FileNotFoundError(f"there is no file {path}")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise DamagedFileError(f"{path} cannot be read: it has more than {max_bytes:,} bytes")
        return data.decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path} is damaged: it is not text in UTF-8") from error
