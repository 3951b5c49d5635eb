"""The saved state of a scheduler, as plain values that are checked when they are read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

from rasched.stacking import state_names

VERSION = 1
STATE_KEY = "_rasched_state"  # the key that holds this state inside another scheduler's state


@dataclass(frozen=True, kw_only=True)
class SchedulerState:
    """Everything in a scheduler that changes, and the settings it had; lists have one entry per group."""

    rule: str
    settings: dict[str, Any]
    rule_state: dict[str, Any]
    signal_state: dict[str, Any]
    lrs: list[float]  # the scheduler's own
    current_lrs: list[float]  # the groups', which another scheduler determines until ours are written
    momenta: list[float] | None  # None: never written
    written: bool
    last_epoch: int
    step_count: int
    num_observed: int
    num_skipped: int
    last_signal: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, strings, lists and dicts, independent of the scheduler, with a version."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def parse(cls, state: Mapping[str, Any], rule: str, num_groups: int) -> SchedulerState:
        """Return the checked state, from its own dict or from inside another scheduler's.

        A state that does not fit, or is damaged, is a ValueError.
        """
        state = state.get(STATE_KEY, state) if isinstance(state, Mapping) else {}
        version = state.get("version") if isinstance(state, Mapping) else None
        if type(version) is not int or version < 1:
            raise ValueError("this is not the state of a RewardAdaptiveScheduler: it has no version")
        if version > VERSION:
            raise ValueError(f"the state has version {version}, this rasched reads up to {VERSION}: upgrade rasched")
        try:
            saved = cls._checked(state)
        except (KeyError, ValueError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"the state is damaged ({reason}): nothing was loaded") from error
        if saved.rule != rule:
            raise ValueError(
                f"the state is of rule {saved.rule!r}, this scheduler has {rule!r}:"
                f" construct it with rule={saved.rule!r}"
            )
        for values in (saved.lrs, saved.current_lrs, saved.lrs if saved.momenta is None else saved.momenta):
            if len(values) != num_groups:
                raise ValueError(f"the state has {len(values)} parameter groups, the optimizer {num_groups}")
        return saved

    @classmethod
    def _checked(cls, state: Mapping[str, Any]) -> SchedulerState:
        for name, (is_allowed, allowed) in _ALLOWED.items():
            if not is_allowed(state[name]):
                raise ValueError(f"{name} must be {allowed}, got {state[name]!r}")
        values = {name: copy.deepcopy(state[name]) for name in _ALLOWED}
        for name in ("lrs", "current_lrs", "momenta"):
            values[name] = values[name] and [float(number) for number in values[name]]
        return cls(**values)

    def changed_settings(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the settings that differ from the saved ones, with both values."""
        saved = self.settings
        return [
            f"{name} ({saved.get(name)} saved, {value} now)"
            for name, value in settings.items()
            if saved.get(name) != value
        ]


def checked_values(obj: Any, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the saved state of a rule or signal with its numbers as floats; ValueError if a type differs."""
    values = dict(saved)
    for name in values.keys() & set(state_names(type(obj))):
        current, value = getattr(obj, name), values[name]
        if type(current) is float:
            if not _is_number(value):
                raise ValueError(f"the saved {name} of {type(obj).__name__} must be a number, got {value!r}")
            values[name] = float(value)
        elif isinstance(current, tuple):
            if not isinstance(value, (list, tuple)) or not all(map(_is_number, value)):
                raise ValueError(f"the saved {name} of {type(obj).__name__} must be a list of numbers, got {value!r}")
            values[name] = tuple(map(float, value))
    return values


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and (type(value) is float or abs(value) < 2**53)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_list_of(is_allowed: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(is_allowed, value))


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(type(key) is str for key in value)


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rule": (lambda value: type(value) is str, "a name"),
    "settings": (_is_dict, "a dict"),
    "rule_state": (_is_dict, "a dict"),
    "signal_state": (
        lambda value: (
            _is_dict(value)
            and all(_is_number(v) and isfinite(v) for v in value.values())
            and value.get("count", 0) >= 0
            and value.get("variance", 0) >= 0
        ),
        "a dict of finite numbers, with count and variance of at least 0",
    ),
    "lrs": (_is_list_of(lambda lr: _is_number(lr) and 0 < lr < inf), "a list of positive numbers"),
    "current_lrs": (_is_list_of(lambda lr: _is_number(lr) and isfinite(lr)), "a list of finite numbers"),
    "momenta": (
        lambda value: value is None or _is_list_of(lambda m: _is_number(m) and 0 <= m < 1)(value),
        "None or a list of numbers in [0, 1)",
    ),
    "written": (lambda value: type(value) is bool, "true or false"),
    "last_epoch": (lambda value: type(value) is int and _is_number(value), "a whole number"),
    "step_count": (_is_count, "a count"),
    "num_observed": (_is_count, "a count"),
    "num_skipped": (_is_count, "a count"),
    "last_signal": (lambda value: value is None or (_is_number(value) and isfinite(value)), "None or a finite number"),
}
