"""The door: whatever a user calls a reward becomes one float here."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def as_float(reward: Any) -> float:
    """Return a reward as a float: a number, a NumPy scalar, or a tensor or array of exactly one element.

    A tensor may be on any device, with or without grad; its one ``item()`` is the only wait. A 0-d tensor that slipped
    through would make every later call a hundred times slower.

    Raises ValueError for several elements (reduce them first) and TypeError for what is no number.
    """
    if isinstance(reward, Tensor):
        count: Any = reward.numel()
    elif isinstance(reward, (float, int)):
        return float(reward)
    else:
        count = getattr(reward, "size", None)
        if not isinstance(count, int) or not hasattr(reward, "item"):
            raise TypeError(
                f"a reward must be a number, or a tensor or array of one element, got {type(reward).__name__}:"
                " pass the step's mean reward, or None where it has none"
            )
    if count != 1:
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
