"""Check settings: constraints are declared on the fields of a dataclass and read from there.

A field says what it allows by its annotation, as in ``gain: Annotated[float, Interval(gt=0, lt=1)]`` (the classes are
those of ``annotated_types``), ``Literal["a", "b"]`` for a choice, and ``| None`` if null is allowed.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from difflib import get_close_matches
from functools import cache, wraps
from inspect import signature
from numbers import Real as RealNumber
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Interval, Le, Lt

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


class SettingError(ValueError):
    """A setting has a value that is not allowed.

    ``setting`` is the name of the field, ``problem`` what is wrong ("must be in (0, 1)"), ``value`` what came (``...``:
    the sentence names no value), ``hint`` the way out, and ``optional`` says that None is allowed too. ``subject`` is
    the setting's name in a Python program, if that differs, and ``config_group`` the group of the configuration that
    holds the setting. So the command line can print the name that a user typed.
    """

    def __init__(
        self,
        setting: str,
        problem: str,
        value: Any = ...,
        hint: str = "",
        subject: str | None = None,
        config_group: str = "",
        optional: bool = False,
    ) -> None:
        super().__init__(setting, problem, value, hint, subject, config_group, optional)  # pickle repeats this call
        self.setting, self.problem, self.value, self.hint = setting, problem, value, hint
        self.subject = subject or setting
        self.config_group, self.optional = config_group, optional

    def __str__(self) -> str:
        return self.sentence(self.subject)

    def sentence(self, subject: str, show: Callable[[Any], str] = repr) -> str:
        """Return the sentence with ``subject`` as the setting's name; ``show`` formats the value."""
        alternative = f", or {show(None)}" if self.optional else ""
        value = "" if self.value is ... else f", got {show(self.value)}"
        return f"{subject} {self.problem}{alternative}{value}{self.hint}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'kelly'?)``, or nothing if no known name is near."""
    cutoff = 0.6 if len(name) > 3 else 0.7  # two letters of three in common are no spelling mistake: sac, a2c
    near = get_close_matches(name.lower(), list(known), n=1, cutoff=cutoff)
    return f" (did you mean {near[0]!r}?)" if near else ""


def setting_fields(cls: type) -> list[Field[Any]]:
    """Return the fields that a user sets: those of the dataclass's constructor."""
    return [f for f in fields(cls) if f.init]


def defaults(cls: type) -> dict[str, Any]:
    """Return the settings of a dataclass with their default values; a required one is ``MISSING``."""
    return {f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in setting_fields(cls)}


@dataclass(frozen=True)
class Constraint:
    """What one field allows: plain types, choices, and an interval of numbers."""

    types: tuple[Any, ...]
    choices: tuple[Any, ...] = ()
    interval: Interval | None = None

    @property
    def optional(self) -> bool:
        """Whether None is allowed."""
        return type(None) in self.types

    def describe(self) -> str:
        """Return what is allowed in words, as in ``in (0, 1)`` or ``a whole number of at least 1``, without None."""
        if self.choices:
            names = ", ".join(self.choices)
            return f"one of {names}" if self.interval is None else f"{names}, or {self._describe_number()}"
        return self._describe_number()

    def _describe_number(self) -> str:
        if self.interval is None:
            return "finite" if float in self.types else "a whole number" if int in self.types else ""
        bounds = _interval_text(self.interval)
        return f"a whole number {_of(bounds)}" if int in self.types and float not in self.types else bounds

    def describe_type(self) -> str:
        """Return what type is allowed in words, as in ``a number in (0, 1)`` or ``true or false``, without None."""
        if self.interval is not None and float in self.types:
            return f"a number {self.describe()}"
        names = [name for t, name in _TYPE_NAMES.items() if t in self.types and t is not type(None)]
        return " or ".join(names)

    def check(self, value: Any) -> Any:
        """Return the value in the field's type; a TypeError or ValueError if it is not allowed."""
        if value is None and self.optional:
            return value
        if self.choices and (self.interval is None or isinstance(value, str)):
            if value not in self.choices:
                raise ValueError
            return value
        if float in self.types or int in self.types:
            if isinstance(value, str) and str in self.types:
                return value
            return self._check_number(value)
        return value

    def _check_number(self, value: Any) -> float | int:
        if isinstance(value, bool) or not isinstance(value, RealNumber):
            raise TypeError
        number = _as_float(value)
        whole = float not in self.types
        if not math.isfinite(number) or (whole and number != int(number)) or not _is_inside(number, self.interval):
            raise ValueError
        return int(cast(Any, value)) if whole else number  # a seed may have more digits than a float


def check_settings(settings: Any, prefix: str = "", config_group: str = "") -> None:
    """Check every field of a dataclass against its constraint, and store numbers in the field's type.

    Call it in ``__post_init__``. ``prefix`` stands before a field's name in messages, as in ``env.`` or ``kelly_``.
    ``config_group`` names the group of the configuration, if the prefix is the name of a Python keyword instead.
    Raises SettingError.
    """
    for name, constraint in constraints(type(settings)).items():  # type: ignore[arg-type]
        value = getattr(settings, name)
        try:
            checked = constraint.check(value)
        except (TypeError, ValueError) as error:
            allowed = constraint.describe_type() if isinstance(error, TypeError) else constraint.describe()
            hint = did_you_mean(str(value), constraint.choices)
            subject = f"{prefix}{name}"
            raise SettingError(
                name, f"must be {allowed}", value, hint, subject, config_group, constraint.optional
            ) from None
        if checked is not value:
            object.__setattr__(settings, name, checked)


@cache  # evaluating annotations takes 0.5 ms, which a sweep would pay for each class of each job
def constraints(cls: type) -> dict[str, Constraint]:
    """Return what each setting of a dataclass allows, from the annotations of its fields.

    A class with an annotation that cannot be evaluated, such as a name imported for type checkers only, has none.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError:
        hints = {}
    return {f.name: _constraint(hints.get(f.name, Any)) for f in setting_fields(cls)}


def _constraint(hint: Any) -> Constraint:
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    allowed: list[Any] = []
    choices: tuple[Any, ...] = ()
    interval: Interval | None = None
    for part in parts:
        if get_origin(part) is Annotated:
            inner = _constraint(get_args(part)[0])
            allowed += inner.types
            choices += inner.choices
            interval = _merge(get_args(part)[1:]) or inner.interval or interval
        elif get_origin(part) is Literal:
            choices += get_args(part)
            allowed += [type(choice) for choice in get_args(part)]
        else:
            allowed.append(part)
    return Constraint(tuple(dict.fromkeys(allowed)), choices, interval)


def _merge(metadata: tuple[Any, ...]) -> Interval | None:
    limits: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, Interval):
            limits |= {name: v for name in ("gt", "ge", "lt", "le") if (v := getattr(item, name)) is not None}
        elif isinstance(item, (Gt, Ge, Lt, Le)):
            name = type(item).__name__.lower()
            limits[name] = getattr(item, name)
    return Interval(**limits) if limits else None


def _is_inside(number: float, interval: Interval | None) -> bool:
    if interval is None:
        return True
    gt, ge, lt, le = interval.gt, interval.ge, interval.lt, interval.le
    below = (gt is None or number > gt) and (ge is None or number >= ge)  # type: ignore[operator]
    return bool(below and (lt is None or number < lt) and (le is None or number <= le))  # type: ignore[operator]


def _interval_text(interval: Interval) -> str:
    low = interval.gt if interval.ge is None else interval.ge
    high = interval.lt if interval.le is None else interval.le
    if low is not None and high is not None:
        return f"in {'[' if interval.gt is None else '('}{low}, {high}{']' if interval.lt is None else ')'}"
    if low is not None:
        return f"above {low}" if interval.ge is None else f"at least {low}"
    return f"below {high}" if interval.le is None else f"at most {high}"


def _of(bounds: str) -> str:
    return bounds if bounds.startswith("in ") else f"of {bounds}" if bounds.startswith("at ") else bounds


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of a float
        return math.inf


def suggest_keyword(function: Function) -> Function:
    """Decorate a function, so that the TypeError for an unknown keyword names the nearest one."""
    names = list(signature(function).parameters)

    @wraps(function)
    def checked(*args: Any, **keywords: Any) -> Any:
        for keyword in keywords:
            if keyword not in names:
                longer = [name for name in names if name.endswith(f"_{keyword}")]
                hint = f" (did you mean {longer[0]!r}?)" if longer else did_you_mean(keyword, names)
                known = "" if hint else f"; known: {', '.join(name for name in names if name != 'self')}"
                raise TypeError(
                    f"{function.__qualname__}() got an unexpected keyword argument {keyword!r}{hint}{known}"
                )
        return function(*args, **keywords)

    return cast(Function, checked)


def from_mapping(cls: type[T], node: Mapping[str, Any], where: str, owner: str | None = None) -> T:
    """Return ``cls(**node)`` after checking every key and type.

    ``where`` is what a user types before the dot; ``owner`` names whose settings they are, if that says more.

    Raises ValueError, in one sentence, for an unknown key, a missing one, a value of the wrong type, and whatever the
    dataclass itself refuses.
    """
    known = {f.name: f for f in setting_fields(cls)}
    for key in node:
        if key not in known:
            listed = ", ".join(known) or "none"
            raise ValueError(
                f"{owner or where} has no setting {key!r}; its settings: {listed}{did_you_mean(str(key), known)}"
            )
    for name, f in known.items():
        if name not in node and f.default is MISSING and f.default_factory is MISSING:
            raise ValueError(f"{where}.{name} has no default: give a value, as in {where}.{name}=...")
    allowed = constraints(cls)  # type: ignore[arg-type]  # a class is hashable
    return cls(**{key: _coerce(value, allowed[key].types, where, key) for key, value in node.items()})


def _coerce(value: Any, allowed: tuple[Any, ...], where: str, key: str) -> Any:
    """Return the value in a type that the field allows: a whole number passes for a float, a bool for no number."""
    if type(value) in allowed:
        return value
    for hint in allowed:
        if get_origin(hint) is tuple:
            return _coerce_tuple(value, hint, where, key)
    plain = [a for a in allowed if a in _TYPE_NAMES]
    if not plain:
        return value
    if float in allowed and type(value) is int:
        return _as_float(value)
    if int in allowed and type(value) is float and value.is_integer():
        return int(value)
    names = " or ".join(_TYPE_NAMES[a] for a in plain)
    raise SettingError(key, f"must be {names}", value, subject=f"{where}.{key}")


def _coerce_tuple(value: Any, hint: Any, where: str, key: str) -> Any:
    """Return a list as a tuple; a SettingError if it is no list, or an element has a wrong type."""
    types_of_item = _constraint(get_args(hint)[0]).types
    plural = {int: "whole numbers", float: "numbers", str: "texts"}.get(types_of_item[0], "values")
    if isinstance(value, (list, tuple)):
        try:
            return tuple(_coerce(item, types_of_item, where, key) for item in value)
        except SettingError:
            pass
    raise SettingError(key, f"must be a list of {plural}", value, subject=f"{where}.{key}")
