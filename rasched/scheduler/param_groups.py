"""Read and write the learning rate and momentum of an optimizer's parameter groups.

Groups are always reached through ``optimizer.param_groups``, because loading an optimizer's state replaces the
dictionaries and the tensors in them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from rasched.validation import SettingError

ParamGroup = dict[str, Any]
LRSnapshot = tuple[Any, int]  # a learning rate as it was last read: the object, and a tensor's version


def unwrap_optimizer(optimizer: Any) -> Optimizer:
    """Return the torch optimizer inside a framework's wrapper (Accelerate's, Lightning's); otherwise a TypeError."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def base_lr(group_index: int, group: ParamGroup) -> float:
    """Return the base rate of a group: its ``initial_lr``, or its ``lr`` if that is absent."""
    lr = group["lr"]
    if lr is None:
        raise ValueError(
            f"group {group_index} has no learning rate (lr=None), because this optimizer computes its own:"
            " construct it with a rate and relative_step=False"
        )
    return float(group["initial_lr"] if "initial_lr" in group else lr)


def set_initial_lr(param_groups: list[ParamGroup]) -> None:
    """Set each group's ``initial_lr`` if it is absent, as torch's schedulers do."""
    for group in param_groups:
        lr = group["lr"]
        group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else lr)


def unshare_lr_tensors(optimizer: Optimizer) -> None:
    """Copy the tensors (lr and betas) that several groups share, because a write would change all of them.

    The first group that holds a tensor keeps it (a compiled step has it in its graph). Later groups and the defaults
    get copies.
    """
    tensor_ids: set[int] = set()
    for holder in (*optimizer.param_groups, optimizer.defaults):
        if isinstance(lr := holder.get("lr"), Tensor):
            holder["lr"] = _clone_if_shared(lr, tensor_ids)
        if holder.get("betas"):
            holder["betas"] = tuple(
                [_clone_if_shared(b, tensor_ids) if isinstance(b, Tensor) else b for b in holder["betas"]]
            )


def _clone_if_shared(tensor: Tensor, tensor_ids: set[int]) -> Tensor:
    if id(tensor) in tensor_ids:
        return tensor.clone()
    tensor_ids.add(id(tensor))
    return tensor


def take_snapshot(lr: Any) -> LRSnapshot:
    """Return what later shows whether another writer changed the rate, without waiting for a device."""
    return lr, _version(lr)


def is_unchanged(lr: Any, last: LRSnapshot) -> bool:
    """Return whether the rate is the same object as in the snapshot, and a tensor of the same version."""
    return lr is last[0] and _version(lr) == last[1]


def _version(lr: Any) -> int:
    return lr._version if isinstance(lr, Tensor) and not lr.is_inference() else 0


def has_value(lr: Any, expected: float) -> bool:
    """Return whether a rate, perhaps of lower precision, has the expected value; waits for a tensor's device."""
    if isinstance(lr, Tensor):
        return bool(lr.item() == torch.tensor(expected, dtype=lr.dtype).item())
    return bool(lr == expected)


def write_lr(group: ParamGroup, lr: float) -> None:
    """Write a rate, in place if the group holds a tensor, otherwise as a float."""
    if isinstance(group["lr"], Tensor):
        _fill(group["lr"], lr)
    else:
        group["lr"] = lr


def check_momentum(group_index: int, group: ParamGroup, optimizer_name: str) -> None:
    """Raise SettingError if a group's optimizer has no momentum to adapt."""
    if "betas" in group or group.get("momentum"):
        return
    reason = (
        "was constructed with momentum=0, which keeps no buffer"
        if "momentum" in group
        else "has neither momentum nor betas"
    )
    problem = f"needs an optimizer with momentum: {optimizer_name} {reason} (group {group_index})"
    raise SettingError("adapt_momentum", problem, config_group="scheduler")


def read_momentum(group: ParamGroup) -> float:
    """Return the momentum, or the first beta, as a float."""
    return float(group["betas"][0] if "betas" in group else group["momentum"])


def write_momentum(group: ParamGroup, momentum: float) -> None:
    """Write to ``momentum``, or to the first of ``betas``; a tensor is written in place."""
    if "betas" not in group:
        group["momentum"] = momentum
    elif isinstance(first := group["betas"][0], Tensor):
        _fill(first, momentum)
    else:
        group["betas"] = (momentum, *group["betas"][1:])


def _fill(tensor: Tensor, value: float) -> None:
    if tensor.requires_grad:
        with torch.no_grad():  # two thirds of the time, so only if it is needed
            tensor.fill_(value)
    else:
        tensor.fill_(value)
