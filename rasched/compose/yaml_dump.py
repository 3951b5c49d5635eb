"""Write YAML with the same text as OmegaConf, by the C emitter, or without an emitter if a value is plain."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][\w=.,+/-]{0,99}", re.ASCII)
# Texts that YAML reads as another type if they stand without quotes.
_NEEDS_QUOTES = frozenset("null true false yes no on off y n inf infinity nan".split())


def dump(value: Any) -> str:
    """Return the text of ``OmegaConf.to_yaml`` for a plain container."""
    import yaml

    text: str = yaml.dump(value, Dumper=_dumper(), default_flow_style=False, allow_unicode=True, sort_keys=False)
    return text


@cache
def _dumper() -> Any:
    import yaml

    from rasched.compose.hydra_compat import yaml_string_representer

    base = getattr(yaml, "CDumper", yaml.Dumper)  # a PyYAML without libyaml has no CDumper
    dumper: Any = type("Dumper", (base,), {})
    dumper.add_representer(str, yaml_string_representer())
    return dumper


def dump_strings(values: Sequence[str]) -> str:
    """Return the text of a list of strings."""
    if not values:
        return dump([])
    return "".join(f"- {value}\n" if _is_plain(value) else dump([value]) for value in values)


class CachedYaml:
    """Writes mappings that differ from one base in few entries. The text of an unchanged entry is made once."""

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._base = base
        self._texts = {key: dump({key: value}) for key, value in base.items()}
        self._children = {key: CachedYaml(value) for key, value in base.items() if isinstance(value, dict) and value}

    def dump(self, mapping: Mapping[str, Any], indent: str = "") -> str:
        """Return the text of a mapping; an entry is unchanged if it is the same object as in the base."""
        if not mapping:
            return textwrap.indent(dump(mapping), indent)
        return "".join(self._entry(key, value, indent) for key, value in mapping.items())

    def _entry(self, key: str, value: Any, indent: str) -> str:
        if key in self._texts and value is self._base[key]:
            return self._indented(key, indent)
        if isinstance(value, dict) and value and key in self._children:
            return f"{indent}{key}:\n{self._children[key].dump(value, indent + '  ')}"
        return textwrap.indent(_pair(key, value), indent) if indent else _pair(key, value)

    def _indented(self, key: str, indent: str) -> str:
        if not indent:
            return self._texts[key]
        name = f"{indent}{key}"
        if name not in self._texts:
            self._texts[name] = textwrap.indent(self._texts[key], indent)
        return self._texts[name]


def _pair(key: str, value: Any) -> str:
    if _is_plain(key):
        if type(value) is int or (type(value) is str and _is_plain(value)):
            return f"{key}: {value}\n"
        if type(value) is list and value and all(type(item) is str for item in value):
            return f"{key}:\n{dump_strings(value)}"
    return dump({key: value})


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _NEEDS_QUOTES
