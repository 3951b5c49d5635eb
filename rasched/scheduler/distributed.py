"""All-reduce of one step's reward over the ranks of a distributed training."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any, NamedTuple

import torch
import torch.distributed as dist


class SyncedReward(NamedTuple):
    """The result of one collective, which is the same on every rank.

    Means are over the ranks that had a value. The reward is None, and an extra signal NaN, if no rank had one.
    """

    reward: float | None
    finite: bool  # whether all rewards were, and their mean is
    readable: bool  # whether all rewards and extra signals were
    extra_signals: tuple[float, ...] = ()


def ranks_unsynced() -> bool:
    """Return whether several ranks run; the question takes about 2 us, so ask it rarely."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def all_reduce_reward(
    reward: float | None, readable: bool, group: Any, extra_signals: Sequence[float] = ()
) -> SyncedReward:
    """Average the ranks' rewards in one collective, which every rank enters whatever its reward is.

    ``group`` is a ProcessGroup, or True for the default one. Without an initialised process group there is one rank.
    ``extra_signals`` are as many on every rank; NaN stands for no value.
    """
    finite = reward is None or reward - reward == 0.0
    if not (dist.is_available() and dist.is_initialized()):
        return SyncedReward(reward if finite else None, finite, readable, tuple(extra_signals))
    process_group = None if group is True else group
    values = [nan if reward is None or not finite else reward, *extra_signals]
    terms = [term for value in values for term in ((value, 1.0) if value == value else (0.0, 0.0))]
    totals = torch.tensor([not finite, not readable, *terms], dtype=torch.float64, device=_device(process_group))
    dist.all_reduce(totals, group=process_group)
    num_nonfinite, num_unreadable, *sums = totals.tolist()
    means = [total / count if count else nan for total, count in zip(sums[::2], sums[1::2], strict=True)]
    mean = means[0] if sums[1] else None
    is_finite = num_nonfinite == 0 and (mean is None or mean - mean == 0.0)  # the sum may exceed the range of a float
    return SyncedReward(mean, is_finite, num_unreadable == 0, tuple(means[1:]))


def _device(process_group: Any) -> torch.device:
    """Return the device of the backend's tensors: NCCL takes only the rank's GPU."""
    if "nccl" in dist.get_backend(process_group):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
