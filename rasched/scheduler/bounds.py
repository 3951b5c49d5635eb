"""Bounds of a learning rate, and the momentum opposite to it.

The functions of rates take a float, or a tensor of any shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from numbers import Real as RealNumber
from typing import Annotated, TypeAlias

from annotated_types import Interval

from rasched.numerics import Real, log, maximum, minimum
from rasched.validation import SettingError, check_settings

RELATIVE_BOUNDS = (0.01, 100.0)  # of the base rate, if no bound is given
Bound: TypeAlias = float | Sequence[float] | None


@dataclass(frozen=True)
class MomentumBounds:
    """The momentum at the upper and at the lower bound of the learning rate."""

    min_momentum: Annotated[float, Interval(ge=0, lt=1)]
    max_momentum: Annotated[float, Interval(ge=0, lt=1)]

    def __post_init__(self) -> None:
        check_settings(self, config_group="scheduler")
        if not self.min_momentum < self.max_momentum:
            problem = f"must be below max_momentum={self.max_momentum}"
            raise SettingError("min_momentum", problem, self.min_momentum, config_group="scheduler")


def clip(lr: Real, low: Real, high: Real) -> Real:
    """Return the rate limited to its bounds; NaN stays NaN."""
    return minimum(maximum(lr, low), high)


def inverse_momentum(lr: Real, low: Real, high: Real, momentum: MomentumBounds) -> Real:
    """Return the momentum opposite to the rate, by the rate's position between its bounds on a log scale.

    It is ``max_momentum`` at the lower bound of the rate, and ``min_momentum`` at the upper bound.
    """
    position = log(lr / low) / log(high / low)
    return momentum.max_momentum - position * (momentum.max_momentum - momentum.min_momentum)


def lr_bounds(base_lrs: Sequence[float], min_lr: Bound, max_lr: Bound) -> tuple[list[float], list[float]]:
    """Return the lower and the upper bounds, one per group; ``None`` is relative to the group's base rate.

    Raises SettingError, which names the group, the value and the bounds, unless ``0 < min_lr < max_lr``, the base rate
    is positive and between its bounds, and a list has one entry per group.
    """
    lows = _one_per_group("min_lr", min_lr, base_lrs, RELATIVE_BOUNDS[0])
    highs = _one_per_group("max_lr", max_lr, base_lrs, RELATIVE_BOUNDS[1])
    for group_index, (base_lr, low, high) in enumerate(zip(base_lrs, lows, highs, strict=True)):
        if not 0 < base_lr < inf:
            hint = f" (min_lr={min_lr}, max_lr={max_lr})"
            raise _lr_error("must be positive and finite", base_lr, hint, group_index)
        _check_bounds(group_index, low, high)
        if not low <= base_lr <= high:
            hint = ": widen min_lr or max_lr, or change the rate"
            raise _lr_error(f"must be in its bounds [{low}, {high}]", base_lr, hint, group_index)
    return lows, highs


def _check_bounds(group_index: int, low: float, high: float) -> None:
    for name, value in (("min_lr", low), ("max_lr", high)):
        if not 0 < value < inf:
            raise _bound_error(name, "must be positive and finite", value, group_index)
    if not low < high:
        raise _bound_error("min_lr", f"must be below max_lr={high}", low, group_index)


def _lr_error(problem: str, value: float, hint: str, group_index: int) -> SettingError:
    return SettingError("lr", problem, value, hint, f"the learning rate of group {group_index}", "optimizer")


def _bound_error(name: str, problem: str, value: object, group_index: int) -> SettingError:
    return SettingError(name, problem, value, subject=f"{name} of group {group_index}", config_group="scheduler")


def _one_per_group(name: str, bound: Bound, base_lrs: Sequence[float], relative: float) -> list[float]:
    if bound is None:
        return [base_lr * relative for base_lr in base_lrs]
    if isinstance(bound, (list, tuple)):
        if len(bound) != len(base_lrs):
            problem = f"must be one number, or one for each of the {len(base_lrs)} groups"
            raise SettingError(name, problem, bound, config_group="scheduler")
        return [_as_number(name, value) for value in bound]
    return [_as_number(name, bound)] * len(base_lrs)


def _as_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, RealNumber):
        raise SettingError(name, "must be a positive number, or one per group", value, config_group="scheduler")
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of a float
        return inf
