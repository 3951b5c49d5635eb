"""Functions that accept a float (one run) or a tensor (many runs).

A tensor is float64 and has shape ``(num_runs,)``. A rule is written once, with these functions and with operators. They
check ``type(x) is float``, which takes a tenth of the time of ``isinstance(x, Tensor)``. Both branches of :func:`where`
are evaluated, so guard a division with :func:`maximum`.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

Real: TypeAlias = float | Tensor
BoolLike: TypeAlias = bool | Tensor
LARGEST_EXPONENT = 709.782712893384  # of e, in float64
RANDOM_MODULI, RANDOM_MULTIPLIERS = (2147483563.0, 2147483399.0), (40014.0, 40692.0)


def where(condition: BoolLike, if_true: Real, if_false: Real) -> Real:
    """Return ``if_true`` where the condition holds and ``if_false`` elsewhere."""
    if condition is True:
        return if_true
    if condition is False:
        return if_false
    if type(if_true) is float and type(if_false) is float:  # two floats would give torch's default type, float32
        return torch.where(condition, torch.tensor(if_true, dtype=torch.float64), if_false)
    return torch.where(condition, if_true, if_false)


def logical_and(x: BoolLike, y: BoolLike) -> BoolLike:
    """Return whether both conditions hold, one answer per run."""
    return x & y


def logical_or(x: BoolLike, y: BoolLike) -> BoolLike:
    """Return whether at least one condition holds, one answer per run."""
    return x | y


def logical_not(x: BoolLike) -> BoolLike:
    """Return whether the condition does not hold, one answer per run; ``~True`` would be -2."""
    return not x if isinstance(x, bool) else ~x


def tanh(x: Real) -> Real:
    """Return the hyperbolic tangent."""
    return math.tanh(x) if type(x) is float else torch.tanh(_as_tensor(x))


def sqrt(x: Real) -> Real:
    """Return the square root of a number that is not negative."""
    return math.sqrt(x) if type(x) is float else torch.sqrt(_as_tensor(x))


def exp(x: Real) -> Real:
    """Return e to the power of ``x``, or infinity if that is beyond the range of a float."""
    if type(x) is float:
        return math.inf if x > LARGEST_EXPONENT else math.exp(x)
    return torch.exp(_as_tensor(x))


def cos(x: Real) -> Real:
    """Return the cosine of an angle in radians."""
    return math.cos(x) if type(x) is float else torch.cos(_as_tensor(x))


def log(x: Real) -> Real:
    """Return the natural logarithm of a positive number."""
    return math.log(x) if type(x) is float else torch.log(_as_tensor(x))


def maximum(x: Real, y: Real) -> Real:
    """Return the larger of two numbers; either may be one number for all runs."""
    if type(x) is float:
        return max(x, y) if type(y) is float else torch.clamp(_as_tensor(y), min=x)
    return torch.clamp(_as_tensor(x), min=y)


def minimum(x: Real, y: Real) -> Real:
    """Return the smaller of two numbers; either may be one number for all runs."""
    if type(x) is float:
        return min(x, y) if type(y) is float else torch.clamp(_as_tensor(y), max=x)
    return torch.clamp(_as_tensor(x), max=y)


def next_random(first: Real, second: Real) -> tuple[Real, Real, Real]:
    """Return the next number in [0, 1) of a random stream, and the stream's two new states.

    The combined multiplicative congruential generator of L'Ecuyer (1988), period 2.3e18. All its numbers are whole and
    below 2**53, so floats and tensors give the same ones. A state starts at a whole number in [1, its modulus).
    """
    first = RANDOM_MULTIPLIERS[0] * first % RANDOM_MODULI[0]
    second = RANDOM_MULTIPLIERS[1] * second % RANDOM_MODULI[1]
    return (first - second) % (RANDOM_MODULI[0] - 1.0) / RANDOM_MODULI[0], first, second


def mean_over_envs(values: Tensor) -> Tensor:
    """Return each run's mean over its parallel environments, ``(num_runs,)`` from ``(num_runs, num_envs)``.

    ``Tensor.mean`` would not do. Its order of addition depends on the size and layout of the batch, and a run's numbers
    must not depend on these.
    """
    if values.shape[1] == 1:
        return values.squeeze(1)
    return values.cumsum(1)[:, -1] / values.shape[1]


Window: TypeAlias = tuple[float, ...] | Tensor


def append_to_window(window: Window, value: Real, length: int) -> Window:
    """Return the window with ``value`` as its newest entry and at most ``length`` entries.

    For one run a window is a tuple that grows to ``length``. For many runs it is a tensor ``(length, num_runs)``, in
    which NaN marks an entry that is not filled yet.
    """
    if isinstance(window, tuple):
        assert type(value) is float
        return (*window, value)[-length:]
    return torch.cat((window[1:], _as_tensor(value)[None]))


def window_mean(window: Window, if_empty: Real) -> Real:
    """Return the mean of a window, or ``if_empty`` for a window without entries."""
    if isinstance(window, tuple):
        return sum(window) / len(window) if window else if_empty
    is_filled = window == window
    num_filled = is_filled.sum(0)
    return where(num_filled > 0, torch.where(is_filled, window, 0.0).sum(0) / num_filled.clamp(min=1), if_empty)


def variance(window: Window) -> Real:
    """Return the population variance of a window, or infinity if it is beyond the range of a float."""
    if isinstance(window, tuple):
        mean = sum(window) / len(window)
        squared_deviation = sum([(x - mean) * (x - mean) for x in window]) / len(window)
        return squared_deviation if squared_deviation == squared_deviation else math.inf
    is_filled = window == window
    num_filled = is_filled.sum(0)
    means = torch.where(is_filled, window, 0.0).sum(0) / num_filled
    deviation = torch.where(is_filled, window - means, 0.0)
    return torch.nan_to_num((deviation * deviation).sum(0) / num_filled, nan=math.inf, posinf=math.inf)


def _as_tensor(x: Real) -> Tensor:
    """Narrow the type: a value here is a tensor if it is not a float, since settings and rewards are made floats."""
    return x  # type: ignore[return-value]
