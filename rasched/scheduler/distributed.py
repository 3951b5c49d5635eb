"""All-reduce of one step's reward over the ranks of a distributed training."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist


class SyncedReward(NamedTuple):
    """The mean reward of the ranks that had one, and whether all rewards were finite; the same on every rank."""

    reward: float | None
    finite: bool


def ranks_unsynced() -> bool:
    """Return whether several ranks run; the question takes about 2 us, so ask it rarely."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def all_reduce_reward(reward: float | None, finite: bool, group: Any) -> SyncedReward:
    """Average the ranks' rewards in one collective, which every rank enters whatever its reward is.

    ``group`` is a ProcessGroup, or True for the default one. Without an initialised process group there is one rank.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return SyncedReward(reward if finite else None, finite)
    process_group = None if group is True else group
    is_usable = finite and reward is not None
    totals = torch.tensor(
        [reward if is_usable else 0.0, float(is_usable), float(not finite)],
        dtype=torch.float64,
        device=_device(process_group),
    )
    dist.all_reduce(totals, group=process_group)
    reward_sum, num_rewards, num_nonfinite = totals.tolist()
    return SyncedReward(reward_sum / num_rewards if num_rewards else None, num_nonfinite == 0)


def _device(process_group: Any) -> torch.device:
    """Return the device of the backend's tensors: NCCL takes only the rank's GPU."""
    if "nccl" in dist.get_backend(process_group):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
