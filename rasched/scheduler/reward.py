"""Convert a user's reward to a float."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def as_float(reward: Any) -> float:
    """Return a reward as a float: a number, a NumPy scalar, or a tensor or array of exactly one element.

    A tensor may be on any device, with or without grad. Its one ``item()`` is the only wait for the device. A tensor
    without dimensions that is not converted here would make every later call a hundred times slower.

    Raises ValueError for several elements (reduce them first) and TypeError if the reward is not a number.
    """
    if isinstance(reward, Tensor):
        num_elements: Any = reward.numel()
    elif isinstance(reward, (float, int)):
        return float(reward)
    else:
        num_elements = getattr(reward, "size", None)
        if not isinstance(num_elements, int) or not hasattr(reward, "item"):
            raise TypeError(
                f"a reward must be a number, or a tensor or array of one element, got {type(reward).__name__}:"
                " pass the step's mean reward, or None if the step has no reward"
            )
    if num_elements != 1:
        raise ValueError(
            f"a reward must have exactly one element, got shape {tuple(reward.shape)}:"
            " reduce it first, as in rewards.mean()"
        )
    value = reward.item()
    if type(value) is float:
        return value
    if isinstance(value, (float, int)):
        return float(value)
    raise TypeError(f"a reward must be a real number, got {value!r}")
