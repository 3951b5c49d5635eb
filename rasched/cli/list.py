"""``rasched list`` prints every choice of every group, with settings, defaults and limits."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rasched.compose.schema import conf_dir
from rasched.errors import UsageError
from rasched.validation import constraints, defaults, did_you_mean

_REGISTRIES = ("rule", "env", "agent")  # groups whose choices are classes, those of installed packages included
_FIRST = ("rule", "signal", "scheduler", "env", "agent", "optimizer", "eval", "logger", "preset")


@dataclass(frozen=True)
class Choice:
    """One choice of a group: its name, its summary, and per setting the default, the limits and the comment."""

    name: str
    summary: str
    settings: Mapping[str, Any]
    limits: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)  # the comments in conf/


def print_list(name: str | None, as_json: bool) -> None:
    """Print one group, or all if ``name`` is None; an unknown group is a UsageError."""
    known = {f"{group}s": group for group in _groups()}
    plural = name if name is None or name in known else f"{name}s"
    if plural is not None and plural not in known:
        raise UsageError(f"{name!r} is no group; known: {', '.join(known)}{did_you_mean(str(name), known)}")
    choices = {group: list(choices_of(group)) for key, group in known.items() if plural in (None, key)}
    if as_json:
        print(json.dumps({f"{group}s": [_as_dict(c) for c in cs] for group, cs in choices.items()}, indent=2))
        return
    for group, members in choices.items():
        _print(group, members)


def _groups() -> list[str]:
    """Return the groups of the configuration: the folders of ``conf/``, except Hydra's own."""
    folders = sorted(path.name for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra")
    return [group for group in _FIRST if group in folders] + [group for group in folders if group not in _FIRST]


def choices_of(group: str) -> Iterator[Choice]:
    """Return the choices of a group: registered classes, or the files of ``conf/GROUP/``."""
    if group in _REGISTRIES:
        yield from _classes(group)
        return
    limits = _limits(_settings_class(group))
    for path in sorted((conf_dir() / group).glob("*.yaml")):
        settings = _read_yaml(path)
        bases = [base for base in settings.pop("defaults", []) if isinstance(base, str) and base != "_self_"]
        name = settings.pop("name", path.stem) if group == "optimizer" else path.stem
        based_on = f"{group}={bases[0]} with the settings below. " if bases else ""
        if group == "preset":
            settings = dict(_flatten(settings))
        yield Choice(name, based_on + _leading_comment(path), settings, limits, _notes(path))


def _classes(group: str) -> Iterator[Choice]:
    from rasched.compose.plugins import registry

    known = registry(group)
    for name in known.names():
        cls, path = known.get(name), conf_dir() / group / f"{name}.yaml"
        content = _read_yaml(path)
        values = content.get(group, content)  # the file of an agent sets other groups too
        # a setting without a default in the code has one in the file, or null
        settings = {key: values.get(key) if value is MISSING else value for key, value in defaults(cls).items()}
        yield Choice(name, _summary(cls), settings, _limits(cls), _notes(path))


def _settings_class(group: str) -> type | None:
    from rasched.compose.settings import LoggerSettings
    from rasched.train.settings import EvaluationSettings, SchedulerSettings, SignalSettings

    classes: dict[str, type] = {"signal": SignalSettings, "scheduler": SchedulerSettings}
    return (classes | {"eval": EvaluationSettings, "logger": LoggerSettings}).get(group)


def _limits(cls: type | None) -> dict[str, str]:
    """Return per setting what is allowed, in words, if that is more than its type."""
    if cls is None:
        return {}
    described = {name: constraint for name, constraint in constraints(cls).items()}
    return {name: c.describe() for name, c in described.items() if c.choices or c.interval is not None}


@cache
def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _flatten(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _summary(cls: type) -> str:
    """Return the first paragraph of a class's docstring without reST marks."""
    paragraph = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    return re.sub(r":\w+:`([^`]*)`|``([^`]*)``", lambda m: m[1] or m[2], paragraph)


def _leading_comment(path: Path) -> str:
    """Return the first sentence of the comment at the head of a file."""
    lines = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    text = " ".join(line for line in lines if not line.startswith("@package"))
    return text.split(". ")[0].rstrip(".") + "." if text else ""


def _notes(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {m[1]: m[2] for line in lines if (m := re.match(r" *(\w+):.*?\s# (.+)", line))}


def _print(group: str, choices: list[Choice]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    usage = f"+{group}=NAME" if group == "preset" else f"{group}=NAME {group}.SETTING=VALUE"
    console.print(f"[bold]{group}s[/bold]", f"({usage})", markup=True)
    for choice in choices:
        console.print(f"  [bold cyan]{choice.name}[/]  ", end="")
        console.print(choice.summary, markup=False)
        typed = {key: f"{key}={_as_typed(value)}" for key, value in choice.settings.items()}
        width = max(map(len, typed.values()), default=0)
        for key, text in typed.items():
            remarks = "; ".join(filter(None, [choice.limits.get(key, ""), choice.notes.get(key, "")]))
            console.print(f"      {text:<{width}}  {remarks}".rstrip(), markup=False)
    console.print()


def _as_dict(choice: Choice) -> dict[str, Any]:
    return {
        "name": choice.name,
        "summary": choice.summary,
        "settings": {key: list(v) if isinstance(v, tuple) else v for key, v in choice.settings.items()},
        "limits": {key: limit for key, limit in choice.limits.items() if key in choice.settings},
    }


def _as_typed(value: Any) -> str:
    """Return a default as one types it on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_as_typed(v) for v in value)}]"
    return str(value)
