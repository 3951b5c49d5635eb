"""Agreement between the processes of a distributed training about one step's reward."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist


class SyncedReward(NamedTuple):
    """What all ranks know after the exchange: the mean over those that had a reward, and whether one was not finite."""

    reward: float | None
    finite: bool


def ranks_unsynced() -> bool:
    """Return whether several ranks run without an exchange of rewards; asking costs some 2 us, so ask rarely."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def all_reduce_reward(reward: float | None, finite: bool, group: Any) -> SyncedReward:
    """Average the ranks' rewards: one collective, entered by every rank, also by one that has none or a broken one.

    ``group`` is a ProcessGroup, or True for the default one. Without an initialised process group a rank is alone.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return SyncedReward(reward if finite else None, finite)
    process_group = None if group is True else group
    usable = finite and reward is not None
    total = torch.tensor(
        [reward if usable else 0.0, float(usable), float(not finite)],
        dtype=torch.float64,
        device=_device(process_group),
    )
    dist.all_reduce(total, group=process_group)
    reward_sum, count, broken = total.tolist()
    return SyncedReward(reward_sum / count if count else None, broken == 0)


def _device(process_group: Any) -> torch.device:
    """Return where the backend wants its tensors: NCCL takes only the rank's GPU."""
    if "nccl" in dist.get_backend(process_group):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
