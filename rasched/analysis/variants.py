"""Which runs are seeds of one variant, read from the overrides that each run was started with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Value: TypeAlias = bool | int | float | str | None
Variant: TypeAlias = tuple[tuple[str, Value], ...]  # (override, value) pairs; hashable, in the order of the columns

# Overrides that never make a variant: the seed is what a variant is repeated over, the others change no number.
_NO_VARIANT = ("seed", "control", "hydra", "logger")
_WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None}


class VariantSource(Protocol):
    """What is read of a run to find its variant."""

    @property
    def overrides(self) -> Sequence[str]:
        """The overrides as typed, such as ``rule=kelly``."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings, flat, such as ``{"rule.name": "kelly", "rule.gain": 0.2}``."""


@dataclass(frozen=True)
class Variants:
    """The variant of each run: ``of_runs`` has one entry per run, ``keys`` are the overrides that differ."""

    keys: tuple[str, ...]
    of_runs: tuple[Variant, ...]


def find_variants(runs: Sequence[VariantSource], extra: Sequence[str] = ()) -> Variants:
    """Find by which overrides the runs differ, and each run's values of these and of ``extra`` ones.

    A run that was started without an override that others have gets the value from its settings, so that
    ``rasched run`` and ``rasched run rule=kelly`` are one variant.
    """
    given = [parse_overrides(run.overrides) for run in runs]
    keys = tuple(key for key in _ordered_keys(given, extra) if key in extra or _differs(key, given, runs))
    return Variants(keys, tuple(_pick(keys, own, run) for own, run in zip(given, runs, strict=True)))


def parse_overrides(lines: Iterable[str]) -> dict[str, Value]:
    """Return overrides by name with plain values: ``["+preset=x", "steps=10"]`` -> ``{"preset": "x", "steps": 10}``."""
    parsed: dict[str, Value] = {}
    for line in lines:
        key, equals, text = line.partition("=")
        if equals:
            parsed[key.lstrip("+")] = parse_value(text)
        else:
            parsed[key] = True  # a deletion, ~key
    return parsed


def parse_value(text: str) -> Value:
    """Return the number, bool or null that a text stands for, else the text without quotes."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def label(variant: Mapping[str, Value]) -> str:
    """Return a variant as one would type it: ``rule=kelly optimizer.lr=0.1``."""
    return " ".join(f"{key}={format_value(value)}" for key, value in variant.items()) or "all runs"


def format_value(value: Value) -> str:
    """Return a value as one would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _ordered_keys(given: Sequence[Mapping[str, Value]], extra: Sequence[str]) -> list[str]:
    """Return all override names, the rule first and the base rate second, as they are what a reader looks for."""
    keys = dict.fromkeys(key for own in given for key in own if key.lstrip("~").partition(".")[0] not in _NO_VARIANT)
    keys |= dict.fromkeys(extra)
    first = [key for key in ("rule", "optimizer.lr") if key in keys]
    return [*first, *(key for key in keys if key not in first)]


def _differs(key: str, given: Sequence[Mapping[str, Value]], runs: Sequence[VariantSource]) -> bool:
    values = {own[key] for own in given if key in own}
    if len(values) > 1:
        return True
    if all(key in own for own in given):
        return False
    return any(_default(key, run) not in values for own, run in zip(given, runs, strict=True) if key not in own)


def _pick(keys: Sequence[str], given: Mapping[str, Value], run: VariantSource) -> Variant:
    pairs = ((key, given[key] if key in given else _default(key, run)) for key in keys)
    return tuple((key, value) for key, value in pairs if value is not None or key in given)


def _default(key: str, run: VariantSource) -> Value:
    """Return what a run used for an override that it was not given; None if it has no such setting."""
    value = run.settings.get(key, run.settings.get(f"{key}.name"))
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
