"""Reading and writing the learning rate and momentum of an optimizer's parameter groups.

Groups are always reached through ``optimizer.param_groups``: every load of an optimizer's state replaces the
dictionaries and the tensors in them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Group = dict[str, Any]
Seen = tuple[Any, int]  # a rate as it was last seen: the object, and a tensor's version


def unwrap(optimizer: Any) -> Optimizer:
    """Return the torch optimizer inside a framework's wrapper (Accelerate's, Lightning's); otherwise a TypeError."""
    while isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
        optimizer = inner
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def base_lr(index: int, group: Group) -> float:
    """Return the base rate of a group: its ``initial_lr``, or its ``lr`` where that is absent."""
    lr = group["lr"]
    if lr is None:
        raise ValueError(
            f"group {index} has no learning rate (lr=None): this optimizer makes its own;"
            " construct it with a rate and relative_step=False"
        )
    return float(group["initial_lr"] if "initial_lr" in group else lr)


def remember_base(param_groups: list[Group]) -> None:
    """Set each group's ``initial_lr`` where it is absent, as torch's schedulers do."""
    for group in param_groups:
        lr = group["lr"]
        group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else lr)


def own_tensors(optimizer: Optimizer) -> None:
    """Give every group tensors of its own: one that others hold too would be written for all.

    The first group that holds a tensor keeps it (a compiled step has it in its graph); later ones and the defaults get
    copies.
    """
    taken: set[int] = set()
    for holder in (*optimizer.param_groups, optimizer.defaults):
        if isinstance(lr := holder.get("lr"), Tensor):
            holder["lr"] = _untaken(lr, taken)
        if holder.get("betas"):
            holder["betas"] = tuple([_untaken(b, taken) if isinstance(b, Tensor) else b for b in holder["betas"]])


def _untaken(tensor: Tensor, taken: set[int]) -> Tensor:
    if id(tensor) in taken:
        return tensor.clone()
    taken.add(id(tensor))
    return tensor


def seen(rate: Any) -> Seen:
    """Return what tells later whether somebody else wrote the rate, without waiting for a device."""
    return rate, _version(rate)


def is_as_seen(rate: Any, last: Seen) -> bool:
    """Return whether the rate is the object, and a tensor of the version, that was last seen."""
    return rate is last[0] and _version(rate) == last[1]


def _version(rate: Any) -> int:
    return rate._version if isinstance(rate, Tensor) and not rate.is_inference() else 0


def same_value(rate: Any, own: float) -> bool:
    """Return whether a rate, perhaps of lower precision, is the number ``own``; for a tensor this waits."""
    if isinstance(rate, Tensor):
        return bool(rate.item() == torch.tensor(own, dtype=rate.dtype).item())
    return bool(rate == own)


def write_lr(group: Group, lr: float) -> None:
    """Write a rate: into the tensor where there is one, otherwise as a float."""
    if isinstance(group["lr"], Tensor):
        _fill(group["lr"], lr)
    else:
        group["lr"] = lr


def check_momentum(index: int, group: Group, name: str) -> None:
    """Raise ValueError where a group's optimizer has no momentum that could be adapted."""
    if "betas" in group or group.get("momentum"):
        return
    why = (
        "was constructed with momentum=0, which keeps no buffer"
        if "momentum" in group
        else "has neither momentum nor betas"
    )
    raise ValueError(f"adapt_momentum needs an optimizer with momentum: {name} {why} (group {index})")


def read_momentum(group: Group) -> float:
    """Return the momentum, or the first beta, as a float."""
    return float(group["betas"][0] if "betas" in group else group["momentum"])


def write_momentum(group: Group, momentum: float) -> None:
    """Write to ``momentum``, or to the first of ``betas``; a tensor is written in place."""
    if "betas" not in group:
        group["momentum"] = momentum
    elif isinstance(first := group["betas"][0], Tensor):
        _fill(first, momentum)
    else:
        group["betas"] = (momentum, *group["betas"][1:])


def _fill(tensor: Tensor, value: float) -> None:
    if tensor.requires_grad:
        with torch.no_grad():  # two thirds of the time: only where it is needed
            tensor.fill_(value)
    else:
        tensor.fill_(value)
