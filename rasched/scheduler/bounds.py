"""Bounds of a learning rate, and the momentum that goes with it: one text for ``(groups,)`` and ``(groups, runs)``."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real as RealNumber
from typing import TypeAlias

from rasched.numerics import Real, log, maximum, minimum

RELATIVE_BOUNDS = (0.01, 100.0)  # of the base rate, where no bound is given
Bound: TypeAlias = float | Sequence[float] | None


def clip(lr: Real, low: Real, high: Real) -> Real:
    """Return the rate limited to its bounds; NaN stays NaN."""
    return minimum(maximum(lr, low), high)


def momentum(lr: Real, low: Real, high: Real, min_momentum: float, max_momentum: float) -> Real:
    """Return the momentum opposite to the rate, by the rate's place between its bounds on a log scale.

    The rate at its lower bound has ``max_momentum``, at its upper one ``min_momentum``.
    """
    place = log(lr / low) / log(high / low)
    return max_momentum - place * (max_momentum - min_momentum)


def bounds(base_lrs: Sequence[float], min_lr: Bound, max_lr: Bound) -> tuple[list[float], list[float]]:
    """Return the lower and upper bounds, one a group; ``None`` is relative to the group's base rate.

    Raises ValueError for bounds that are not ``0 < min_lr < max_lr``, lists of another length than the groups', and a
    base rate that is not positive or outside its bounds: the message names the group, the value and the bounds.
    """
    lows = _one_each("min_lr", min_lr, base_lrs, RELATIVE_BOUNDS[0])
    highs = _one_each("max_lr", max_lr, base_lrs, RELATIVE_BOUNDS[1])
    for group, (base, low, high) in enumerate(zip(base_lrs, lows, highs, strict=True)):
        if not 0 < base < float("inf"):
            raise ValueError(
                f"the learning rate of group {group} must be positive and finite, got {base}"
                f" (bounds {min_lr} to {max_lr}, None being relative to it)"
            )
        if not 0 < low < high < float("inf"):
            raise ValueError(f"bounds must be 0 < min_lr < max_lr, got min_lr={low}, max_lr={high} for group {group}")
        if not low <= base <= high:
            raise ValueError(
                f"the learning rate of group {group} is {base}, outside its bounds [{low}, {high}]:"
                " widen min_lr or max_lr, or change the rate"
            )
    return lows, highs


def _one_each(name: str, bound: Bound, base_lrs: Sequence[float], relative: float) -> list[float]:
    if bound is None:
        return [base * relative for base in base_lrs]
    if isinstance(bound, (list, tuple)):
        if len(bound) != len(base_lrs):
            raise ValueError(f"{name} must be one number, or one for each of the {len(base_lrs)} groups, got {bound!r}")
        return [_number(name, b) for b in bound]
    return [_number(name, bound)] * len(base_lrs)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, RealNumber):
        raise ValueError(f"{name} must be a positive number, or one a group, got {value!r}")
    return float(value)
