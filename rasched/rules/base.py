"""What every rule is: it takes a signal, moves its own state, and then names the next learning rate of any group."""

from __future__ import annotations

from typing import ClassVar

from rasched import stacking
from rasched.numerics import BoolLike, Real
from rasched.registry import Registry


class Rule:
    """From signal to learning rate; subclass it to write your own.

    A rule is a ``@dataclass(slots=True)``: the settings are its fields, floats by default, and what moves is declared
    with :func:`rasched.stacking.state` and *rebound*, never written in place. Written with operators and the functions
    of :mod:`rasched.numerics` it serves one run and, stacked, thousands. It needs no registration to be passed as
    ``rule=MyRule(...)``.
    """

    __slots__ = ()
    name: ClassVar[str] = "rule"
    writes_lr: ClassVar[bool] = True  # False: the rule never touches a learning rate
    never_raises: ClassVar[bool] = False  # True: any finite signal is taken without an exception, so no undo is kept
    extra_signals: ClassVar[tuple[str, ...]] = ()  # names of further signals that `observe` takes by keyword

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__.lower()

    def initial_lr(self, base_lr: Real) -> Real:
        """Return the rate before the first observation."""
        return base_lr

    def observe(self, signal: Real) -> None:
        """Take the next signal, a float or shape ``(runs,)``; only the rule's own state moves."""
        raise NotImplementedError

    def observe_missing(self) -> BoolLike:
        """Take note of a step without a reward; return whether the rate moves on such a step, one answer a run."""
        return False

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        """Return the next rate of a group from its current and its base one; changes nothing."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the rule as one would write it."""
        given = ", ".join(f"{name}={value!r}" for name, value in stacking.settings_of(self).items())
        return f"{type(self).__name__}({given})"


RULES: Registry[Rule] = Registry("rule", "rasched.rules")
