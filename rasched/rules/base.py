"""The base class of all rules, and the registry of rules by name."""

from __future__ import annotations

from types import FunctionType
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

    A rule may declare fields with :func:`rasched.stacking.context` to read four facts about the run:
    ``min_factor`` and ``max_factor``, the bounds of the rate divided by the base rate (the widest of all parameter
    groups), ``horizon``, the number of calls of :meth:`observe` and :meth:`observe_missing` in the whole run, and
    ``run_start``, a whole number below 2**52 that the runner derives from the run's seed, for random choices. The
    field keeps its default if this is unknown. A runner that counts environment steps sets it before every call, so
    that calls so far divided by ``horizon`` is the share of the run that is done. The current rate, already clipped, is
    the ``lr`` of :meth:`next_lr`.

    A rule that extends another one may call its methods by ``super()``.
    """

    __slots__ = ()
    name: ClassVar[str] = "rule"
    writes_lr: ClassVar[bool] = True  # False: the rule never writes a learning rate
    never_raises: ClassVar[bool] = False  # True: no finite signal raises an exception, so no state is saved for undo
    extra_signals: ClassVar[tuple[str, ...]] = ()  # further signals, which `observe` takes as keywords of these names

    needs_horizon: ClassVar[bool] = False  # True: the rule plans over the whole run, so its length must be known

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__.lower()
        if "never_raises" not in vars(cls) and _OVERRIDES & vars(cls).keys():
            cls.never_raises = False  # the promise of the base class does not cover new code
        _update_class_cells(cls)

    def __post_init__(self) -> None:
        """Check the settings; SettingError names the one that is not allowed."""
        check_settings(self, f"{self.name}_", "rule")

    @property
    def needs_raw_rewards(self) -> bool:
        """Whether the rule estimates noise from neighbouring rewards, which normalized or smoothed ones belie."""
        return False

    def set_context(self, **facts: Real) -> None:
        """Set the facts about the run for which the rule has a context field."""
        for name in stacking.context_names(type(self)):
            if name in facts:
                setattr(self, name, facts[name])

    def initial_lr(self, base_lr: Real) -> Real:
        """Return the learning rate before the first observation."""
        return base_lr

    def observe(self, signal: Real) -> None:
        """Take the next signal, a float or shape ``(num_runs,)``; changes only the rule's own state.

        Each name in ``extra_signals`` comes as a keyword, in the same shape. NaN says that this step has no value.
        """
        raise NotImplementedError

    def observe_missing(self) -> BoolLike:
        """Take note of a step without a reward; return whether the rate changes on it, one answer per run.

        Each name in ``extra_signals`` comes as a keyword, as in :meth:`observe`.
        """
        return False

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        """Return a group's next learning rate from its current and its base rate; changes nothing."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return the rule as a user would write it."""
        settings = ", ".join(f"{name}={value!r}" for name, value in stacking.settings_of(self).items())
        return f"{type(self).__name__}({settings})"


_OVERRIDES = {"initial_lr", "observe", "observe_missing", "next_lr"}


def _update_class_cells(cls: type) -> None:
    """Let ``super()`` work in a dataclass with slots, which replaces the class (Python 3.14 does the same)."""
    for function in vars(cls).values():
        if isinstance(function, FunctionType) and "__class__" in function.__code__.co_freevars:
            cell = (function.__closure__ or ())[function.__code__.co_freevars.index("__class__")]
            cell.cell_contents = cls


RULES: Registry[Rule] = Registry("rule", "rasched.rules")
