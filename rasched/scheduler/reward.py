"""Convert a user's reward to a float."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from torch import Tensor


def as_float(reward: Any) -> float:
    """Return a reward as a float: a number, a NumPy scalar, or a tensor or array of exactly one element.

    A tensor may be on any device, with or without grad. Its one ``item()`` is the only wait for the device. A tensor
    without dimensions that is not converted here would make every later call a hundred times slower.

    An int beyond the range of a float becomes infinity.

    Raises ValueError for several elements (reduce them first), a masked value or a tensor without data (device
    "meta"), and TypeError if the reward is not a number.
    """
    if isinstance(reward, Tensor):
        num_elements: Any = reward.numel()
    elif isinstance(reward, (float, int)):
        return _number_as_float(reward)
    else:
        num_elements = getattr(reward, "size", None)
        if not isinstance(num_elements, int) or not hasattr(reward, "item"):
            raise TypeError(
                f"a reward must be a number, or a tensor or array of one element, got {type(reward).__name__}:"
                " pass the step's mean reward, or None if the step has no reward"
            )
        if isinstance(reward, np.ma.MaskedArray) and np.ma.is_masked(reward):
            raise ValueError("a reward must have a value, got a masked one: pass None if the step has no reward")
    if num_elements != 1:
        raise ValueError(
            f"a reward must have exactly one element, got shape {tuple(reward.shape)}:"
            " reduce it first, as in rewards.mean()"
        )
    try:
        value = reward.item()
    except RuntimeError as error:
        if isinstance(reward, Tensor) and reward.is_meta:  # asked only now: the question takes 150 ns
            raise ValueError("a reward must have a value, got a tensor on the device 'meta' without data") from error
        raise
    if type(value) is float:
        return value
    if isinstance(value, (float, int)):
        return _number_as_float(value)
    raise TypeError(f"a reward must be a real number, got {value!r}")


def _number_as_float(number: float | int) -> float:
    try:
        return float(number)
    except OverflowError:  # an int beyond the range of a float
        return inf if number > 0 else -inf
