"""``rasched list``: what there is, with settings and defaults, read from the code and ``conf/``."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from rasched.compose.schema import conf_dir
from rasched.errors import UsageError
from rasched.validation import defaults, did_you_mean

KINDS = {"rules": "rule", "envs": "env", "agents": "agent", "optimizers": "optimizer"}


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen by name."""

    name: str
    summary: str
    settings: dict[str, Any]
    notes: dict[str, str]  # what conf/ says of a setting


def show(what: str | None, as_json: bool) -> None:
    """Print one kind, or all; an unknown kind is a UsageError."""
    if what is not None and what not in KINDS:
        raise UsageError(f"{what!r} cannot be listed; known: {', '.join(KINDS)}{did_you_mean(what, KINDS)}")
    kinds = [what] if what else list(KINDS)
    found = {kind: list(entries(KINDS[kind])) for kind in kinds}
    if as_json:
        plain = {
            kind: [{"name": e.name, "summary": e.summary, "settings": e.settings} for e in es]
            for kind, es in found.items()
        }
        print(json.dumps(plain, indent=2, default=list))
        return
    for kind in kinds:
        _print(kind, KINDS[kind], found[kind])


def entries(group: str) -> Iterator[Entry]:
    """Return all choices of a group: those of the code and of installed packages, or the files of conf/optimizer."""
    if group == "optimizer":
        yield from _optimizers()
        return
    from rasched.compose.plugins import registry

    known = registry(group)
    for name in known.names():
        cls, path = known.get(name), conf_dir() / group / f"{name}.yaml"
        said = _file(path)
        said = said.get(group, said)  # a file may speak for the whole configuration
        # a setting without a default in the code has one here, or none: null
        settings = {key: said.get(key) if value is MISSING else value for key, value in defaults(cls).items()}
        yield Entry(name, _summary(cls), settings, _notes(path))


def _optimizers() -> Iterator[Entry]:
    for path in sorted((conf_dir() / "optimizer").glob("*.yaml")):
        settings = _file(path)
        yield Entry(settings.pop("name"), "", settings, _notes(path))


def _file(path: Path) -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _summary(cls: type) -> str:
    """Return the first sentence of a class's docstring, without reST's marks."""
    paragraph = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    return re.sub(r":\w+:`([^`]*)`|``([^`]*)``", lambda m: m[1] or m[2], paragraph)


def _notes(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {m[1]: m[2] for line in lines if (m := re.match(r" *(\w+):.*?\s# (.+)", line))}


def _print(kind: str, group: str, found: list[Entry]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{kind}[/bold]", f"({group}=NAME {group}.SETTING=VALUE)")
    for entry in found:
        console.print(f"  [bold cyan]{entry.name}[/]  ", end="")
        console.print(entry.summary, markup=False)
        width = max((len(f"{k}={_value(v)}") for k, v in entry.settings.items()), default=0)
        for key, value in entry.settings.items():
            console.print(
                f"      {f'{key}={_value(value)}':<{width}}  {entry.notes.get(key, '')}".rstrip(), markup=False
            )
    console.print()


def _value(value: Any) -> str:
    """Return a default as one would type it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_value(v) for v in value)}]"
    return str(value)
