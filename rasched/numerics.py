"""Functions of a real number that is a float (one run) or a float64 tensor of shape ``(runs,)`` (many).

A rule is written once with these and with operators. They look at ``type(x) is float``, which costs a tenth of
``isinstance(x, Tensor)``. Both branches of :func:`where` are evaluated: guard a division with :func:`maximum`.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

Real: TypeAlias = float | Tensor
BoolLike: TypeAlias = bool | Tensor


def where(condition: BoolLike, yes: Real, no: Real) -> Real:
    """Return ``yes`` where the condition holds and ``no`` elsewhere."""
    if condition is True:
        return yes
    if condition is False:
        return no
    return torch.where(condition, yes, no)


def tanh(x: Real) -> Real:
    """Return the hyperbolic tangent."""
    return math.tanh(x) if type(x) is float else torch.tanh(_tensor(x))


def sqrt(x: Real) -> Real:
    """Return the square root of a number that is not negative."""
    return math.sqrt(x) if type(x) is float else torch.sqrt(_tensor(x))


def log(x: Real) -> Real:
    """Return the natural logarithm of a positive number."""
    return math.log(x) if type(x) is float else torch.log(_tensor(x))


def maximum(x: Real, y: Real) -> Real:
    """Return the larger of two, either of which may be one for all runs."""
    if type(x) is float:
        return max(x, y) if type(y) is float else torch.clamp(_tensor(y), min=x)
    return torch.clamp(_tensor(x), min=y)


def minimum(x: Real, y: Real) -> Real:
    """Return the smaller of two, either of which may be one for all runs."""
    if type(x) is float:
        return min(x, y) if type(y) is float else torch.clamp(_tensor(y), max=x)
    return torch.clamp(_tensor(x), max=y)


def mean_over_envs(values: Tensor) -> Tensor:
    """Return each run's mean over its parallel copies, ``(runs,)`` from ``(runs, num_envs)``.

    Not ``mean``: its order of addition depends on the size and layout of the batch, and a run's numbers must not.
    """
    if values.shape[1] == 1:
        return values.squeeze(1)
    return values.cumsum(1)[:, -1] / values.shape[1]


Window: TypeAlias = tuple[float, ...] | Tensor


def push(window: Window, value: Real, length: int) -> Window:
    """Return the window with ``value`` as its newest entry and no more than ``length`` entries.

    For one run it is a tuple that grows to ``length``; for many a tensor ``(length, runs)`` in which NaN means not yet
    filled.
    """
    if isinstance(window, tuple):
        assert type(value) is float
        return (*window, value)[-length:]
    return torch.cat((window[1:], _tensor(value)[None]))


def variance(window: Window) -> Real:
    """Return the population variance of a window; infinity where it is beyond the range of a float."""
    if isinstance(window, tuple):
        level = sum(window) / len(window)
        spread = sum([(x - level) * (x - level) for x in window]) / len(window)
        return spread if spread == spread else math.inf
    filled = window == window
    count = filled.sum(0)
    mean = torch.where(filled, window, 0.0).sum(0) / count
    deviation = torch.where(filled, window - mean, 0.0)
    return torch.nan_to_num((deviation * deviation).sum(0) / count, nan=math.inf, posinf=math.inf)


def _tensor(x: Real) -> Tensor:
    """Narrow the type: what is not a float here is a tensor (a setting is made a float once, a reward at the door)."""
    return x  # type: ignore[return-value]
