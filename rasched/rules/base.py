"""The base class of all rules, and the registry of rules by name."""

from __future__ import annotations

from typing import ClassVar

from rasched import stacking
from rasched.numerics import BoolLike, Real
from rasched.registry import Registry
from rasched.validation import check_settings


class Rule:
    """Turns a signal into a learning rate; subclass it to write your own rule.

    A rule is a ``@dataclass(slots=True)``. Its settings are its fields, floats by default. A field's annotation says
    which values are allowed, as in ``gain: Annotated[Real, Interval(gt=0, lt=1)] = 0.2``. State is declared with
    :func:`rasched.stacking.state` and *rebound*, never written in place. Written with operators and the functions of
    :mod:`rasched.numerics`, a rule serves one run and, stacked, thousands of runs. It needs no registration to be
    passed as ``rule=MyRule(...)``.
    """

    __slots__ = ()
    name: ClassVar[str] = "rule"
    writes_lr: ClassVar[bool] = True  # False: the rule never writes a learning rate
    never_raises: ClassVar[bool] = False  # True: no finite signal raises an exception, so no state is saved for undo
    extra_signals: ClassVar[tuple[str, ...]] = ()  # further signals, which `observe` takes as keywords of these names

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__.lower()

    def __post_init__(self) -> None:
        """Check the settings; SettingError names the one that is not allowed."""
        check_settings(self, f"{self.name}_", "rule")

    def initial_lr(self, base_lr: Real) -> Real:
        """Return the learning rate before the first observation."""
        return base_lr

    def observe(self, signal: Real) -> None:
        """Take the next signal, a float or shape ``(num_runs,)``; changes only the rule's own state."""
        raise NotImplementedError

    def observe_missing(self) -> BoolLike:
        """Take note of a step without a reward; return whether the rate changes on it, one answer per run."""
        return False

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        """Return a group's next learning rate from its current and its base rate; changes nothing."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the rule as a user would write it."""
        settings = ", ".join(f"{name}={value!r}" for name, value in stacking.settings_of(self).items())
        return f"{type(self).__name__}({settings})"


RULES: Registry[Rule] = Registry("rule", "rasched.rules")
