"""Base rate, bounds and current learning rate of an optimizer's parameter groups."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from rasched.rules import Rule
from rasched.scheduler.bounds import Bound, MomentumBounds, clip, inverse_momentum, lr_bounds
from rasched.scheduler.param_groups import (
    LRSnapshot,
    ParamGroup,
    base_lr,
    check_momentum,
    has_value,
    is_unchanged,
    read_momentum,
    set_initial_lr,
    take_snapshot,
    unshare_lr_tensors,
    write_lr,
    write_momentum,
)

_OVERWRITTEN: LRSnapshot = (None, 0)  # of a rate that another writer changed: no rate is like it


class GroupLRs:
    """One base rate, two bounds and one current rate per group, all floats of the scheduler.

    A group may hold a rate of lower precision. Every method that may raise does so before it writes.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        rule: Rule,
        min_lr: Bound,
        max_lr: Bound,
        momentum: MomentumBounds | None,
    ) -> None:
        self.optimizer = optimizer
        self.momentum = momentum  # None: the momentum is not adapted
        self._bounds = {"min_lr": min_lr, "max_lr": max_lr}
        self.base_lrs: list[float] = []
        self.lows: list[float] = []
        self.highs: list[float] = []
        self.lrs: list[float] = []
        self.written = False  # whether the groups hold these rates
        self.momentum_written = False
        self._snapshots: list[LRSnapshot] = []
        self._has_warned = False
        self._add_groups(optimizer.param_groups, rule)

    def sync_groups(self, rule: Rule) -> None:
        """Adopt the groups that were added to the optimizer, each with its own rate as base rate."""
        param_groups, num_known = self.optimizer.param_groups, len(self.lrs)
        if len(param_groups) == num_known:
            return
        if len(param_groups) < num_known:
            raise ValueError(
                f"the optimizer has {len(param_groups)} parameter groups, but it had {num_known} before:"
                " construct a new scheduler"
            )
        for name, bound in self._bounds.items():
            if isinstance(bound, (list, tuple)):
                raise ValueError(
                    f"{len(param_groups) - num_known} parameter group(s) were added, but {name} is a list of"
                    f" {len(bound)}: give one number, or construct a new scheduler"
                )
        self._add_groups(param_groups[num_known:], rule)

    def _add_groups(self, groups: Sequence[ParamGroup], rule: Rule) -> None:
        num_known = len(self.lrs)
        base_lrs = self.base_lrs + [base_lr(num_known + i, group) for i, group in enumerate(groups)]
        lows, highs = lr_bounds(base_lrs, self._bounds["min_lr"], self._bounds["max_lr"])
        if self.momentum is not None:
            for i, group in enumerate(groups):
                check_momentum(num_known + i, group, type(self.optimizer).__name__)
        self.base_lrs, self.lows, self.highs = base_lrs, lows, highs
        rule.set_context(
            min_factor=min(low / base for low, base in zip(lows, base_lrs, strict=True)),
            max_factor=max(high / base for high, base in zip(highs, base_lrs, strict=True)),
        )
        self.lrs = self.lrs + self.initial_lrs(rule)[num_known:]
        set_initial_lr(self.optimizer.param_groups)
        unshare_lr_tensors(self.optimizer)
        self._snapshots = self._snapshots + [take_snapshot(group["lr"]) for group in groups]

    def initial_lrs(self, rule: Rule) -> list[float]:
        """Return the rates before the first observation, clipped."""
        return self.clipped([rule.initial_lr(base) for base in self.base_lrs], rule)

    def next_lrs(self, rule: Rule) -> list[float]:
        """Return the next rates, clipped; nothing is written."""
        lrs = []
        for lr, base, low, high in zip(self.lrs, self.base_lrs, self.lows, self.highs):  # noqa: B905  (hot)
            new = rule.next_lr(lr, base)
            if type(new) is not float or new != new:
                new = _as_number(new, rule)
            lrs.append(low if new < low else high if new > high else new)
        return lrs

    def clipped(self, lrs: Sequence[Any], rule: Rule) -> list[float]:
        """Return rates, one per group, as floats between their bounds."""
        bounded = zip(lrs, self.lows, self.highs, strict=True)
        return [float(clip(_as_number(lr, rule), low, high)) for lr, low, high in bounded]

    def write(self, lrs: list[float]) -> None:
        """Write rates to the groups and keep them as the current rates."""
        known = self.lrs
        for i, group in enumerate(self.optimizer.param_groups):
            if group["lr"] is known[i]:  # the float that the scheduler wrote: the usual case
                group["lr"] = lrs[i]
                continue
            write_lr(group, lrs[i])
            self._snapshots[i] = take_snapshot(group["lr"])
        self.lrs = lrs
        self.written = True

    def restore(self, lrs: list[float], current_lrs: list[float], written: bool) -> None:
        """Write the rates that the groups had; they differ from ``lrs`` if another writer had changed them."""
        self.write([lr if lr == current else current for lr, current in zip(lrs, current_lrs, strict=True)])
        for i, group in enumerate(self.optimizer.param_groups):
            is_overwritten = written and lrs[i] != current_lrs[i]
            self._snapshots[i] = _OVERWRITTEN if is_overwritten else take_snapshot(group["lr"])

    def write_momentum(self) -> None:
        """Write the momentum that belongs to the current rates, if it is adapted."""
        if self.momentum is None:
            return
        for lr, low, high, group in zip(self.lrs, self.lows, self.highs, self.optimizer.param_groups, strict=True):
            write_momentum(group, float(inverse_momentum(lr, low, high, self.momentum)))
        self.momentum_written = True

    def current_lrs(self) -> list[float]:
        """Return the groups' rates; a tensor that was not changed is not read, which would wait for its device."""
        return [self._current_lr(i, group["lr"]) for i, group in enumerate(self.optimizer.param_groups)]

    def _current_lr(self, group_index: int, lr: Any) -> float:
        if isinstance(lr, Tensor) and self.written and is_unchanged(lr, self._snapshots[group_index]):
            return self.lrs[group_index]
        return float(lr)

    def momenta(self) -> list[float] | None:
        """Return the groups' momenta, or None if the scheduler has not written them."""
        return [read_momentum(group) for group in self.optimizer.param_groups] if self.momentum_written else None

    def restore_momenta(self, momenta: Sequence[float] | None) -> None:
        """Write momenta as they were saved."""
        self.momentum_written = momenta is not None and self.momentum is not None
        if momenta is not None and self.momentum is not None:
            for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
                write_momentum(group, momentum)

    def warn_if_overwritten(self, stacklevel: int) -> None:
        """Warn once if another writer changed a rate; called before any change, as a warning may be an exception."""
        if self._has_warned:
            return
        lrs = self.lrs
        for i, group in enumerate(self.optimizer.param_groups):
            lr = group["lr"]
            if lr is lrs[i] or is_unchanged(lr, self._snapshots[i]) or has_value(lr, self._expected_lr(i)):
                continue
            warnings.warn(
                f"another writer set the learning rate of group {i} to {float(lr):.6g} since the last observation;"
                f" rasched continues from its own value {lrs[i]:.6g}. Let only one scheduler write, or use"
                " rule='none' (this warning comes once)",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
            self._has_warned = True
            return

    def _expected_lr(self, group_index: int) -> float:
        """Return the rate that a group has if no other writer changed it.

        Loading the optimizer's state replaces the object and not the value. Of a tensor that was written to before the
        scheduler's first write, only the base rate is known.
        """
        if self.written:
            return self.lrs[group_index]
        lr, _ = self._snapshots[group_index]
        is_overwritten = isinstance(lr, Tensor) and not is_unchanged(lr, self._snapshots[group_index])
        return self.base_lrs[group_index] if is_overwritten else float(lr)


def _as_number(lr: Any, rule: Rule) -> float:
    number = float(lr)
    if number != number:
        raise ValueError(f"rule {rule.name} returned a learning rate that is not a number: nothing was changed")
    return number
