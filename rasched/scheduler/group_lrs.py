"""The rates of an optimizer's parameter groups, as a scheduler holds them: it writes them, and sees who else did."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer

from rasched.rules import Rule
from rasched.scheduler import bounds as rates
from rasched.scheduler import param_groups as groups
from rasched.validation import check_number


class MomentumBounds(NamedTuple):
    """The momentum at the upper and at the lower bound of the rate."""

    low: float
    high: float

    @classmethod
    def checked(cls, low: float, high: float) -> MomentumBounds:
        """Return them; ValueError unless ``0 <= low < high < 1``."""
        low = check_number("min_momentum", low, "in [0, 1)", lambda m: 0 <= m < 1)
        high = check_number("max_momentum", high, "in [0, 1)", lambda m: 0 <= m < 1)
        if not low < high:
            raise ValueError(f"min_momentum must be below max_momentum, got {low} and {high}")
        return cls(low, high)


class GroupLRs:
    """One base rate, bounds and current rate a group, all floats of ours: what a group holds may be of less precision.

    Every method that may raise does so before it writes anything.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        rule: Rule,
        min_lr: rates.Bound,
        max_lr: rates.Bound,
        momentum: MomentumBounds | None,
    ) -> None:
        self.optimizer = optimizer
        self.momentum = momentum  # None: it is not ours to move
        self._given = {"min_lr": min_lr, "max_lr": max_lr}
        self.base_lrs: list[float] = []
        self.lows: list[float] = []
        self.highs: list[float] = []
        self.lrs: list[float] = []
        self.written = False  # whether the groups hold our rates
        self.moved_momentum = False
        self._seen: list[groups.Seen] = []
        self._warned = False
        self._take_in(optimizer.param_groups, rule)

    def adopt(self, rule: Rule) -> None:
        """Take in the groups that were added since the last look, each with its own rate as base."""
        param_groups, known = self.optimizer.param_groups, len(self.lrs)
        if len(param_groups) == known:
            return
        if len(param_groups) < known:
            raise ValueError(
                f"the optimizer has {len(param_groups)} parameter groups, {known} when the scheduler last looked"
            )
        for name, bound in self._given.items():
            if isinstance(bound, (list, tuple)):
                raise ValueError(
                    f"{len(param_groups) - known} parameter group(s) were added, but {name} is a list of {len(bound)}:"
                    " give one number, or construct a new scheduler"
                )
        self._take_in(param_groups[known:], rule)

    def _take_in(self, new: Sequence[groups.Group], rule: Rule) -> None:
        known = len(self.lrs)
        base_lrs = self.base_lrs + [groups.base_lr(known + i, group) for i, group in enumerate(new)]
        lows, highs = rates.bounds(base_lrs, self._given["min_lr"], self._given["max_lr"])
        if self.momentum is not None:
            for i, group in enumerate(new):
                groups.check_momentum(known + i, group, type(self.optimizer).__name__)
        self.base_lrs, self.lows, self.highs = base_lrs, lows, highs
        self.lrs = self.lrs + self.starts(rule)[known:]
        groups.remember_base(self.optimizer.param_groups)
        groups.own_tensors(self.optimizer)
        self._seen = self._seen + [groups.seen(group["lr"]) for group in new]

    def starts(self, rule: Rule) -> list[float]:
        """Return the rates from which a rule starts."""
        return self.clipped([rule.initial_lr(base) for base in self.base_lrs], rule)

    def next(self, rule: Rule) -> list[float]:
        """Return the next rates, clipped; nothing is written."""
        lrs = []
        for lr, base, low, high in zip(self.lrs, self.base_lrs, self.lows, self.highs):  # noqa: B905  (hot)
            new = rule.next_lr(lr, base)
            if type(new) is not float or new != new:
                new = _number(new, rule)
            lrs.append(low if new < low else high if new > high else new)
        return lrs

    def clipped(self, lrs: Sequence[Any], rule: Rule) -> list[float]:
        """Return rates, one a group, as floats between their bounds."""
        bounded = zip(lrs, self.lows, self.highs, strict=True)
        return [float(rates.clip(_number(lr, rule), low, high)) for lr, low, high in bounded]

    def write(self, lrs: list[float]) -> None:
        """Write rates to the groups; they are ours from here on."""
        own = self.lrs
        for i, group in enumerate(self.optimizer.param_groups):
            if group["lr"] is own[i]:  # our own float: the usual case
                group["lr"] = lrs[i]
                continue
            groups.write_lr(group, lrs[i])
            self._seen[i] = groups.seen(group["lr"])
        self.lrs = lrs
        self.written = True

    def write_momentum(self) -> None:
        """Write the momentum that goes with the rates, where it is ours to move."""
        if self.momentum is None:
            return
        for lr, low, high, group in zip(self.lrs, self.lows, self.highs, self.optimizer.param_groups, strict=True):
            groups.write_momentum(group, float(rates.momentum(lr, low, high, *self.momentum)))
        self.moved_momentum = True

    def in_force(self) -> list[float]:
        """Return the groups' rates; a tensor that still holds ours is not read, which would wait for its device."""
        return [self._in_force(i, group["lr"]) for i, group in enumerate(self.optimizer.param_groups)]

    def _in_force(self, index: int, rate: Any) -> float:
        if isinstance(rate, Tensor) and self.written and groups.is_as_seen(rate, self._seen[index]):
            return self.lrs[index]
        return float(rate)

    def momenta(self) -> list[float] | None:
        """Return the groups' momenta, None where we have not moved them."""
        return [groups.read_momentum(g) for g in self.optimizer.param_groups] if self.moved_momentum else None

    def restore_momenta(self, momenta: Sequence[float] | None) -> None:
        """Write momenta as they were saved."""
        self.moved_momentum = momenta is not None and self.momentum is not None
        if momenta is not None and self.momentum is not None:
            for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
                groups.write_momentum(group, momentum)

    def watch(self, stacklevel: int) -> None:
        """Warn, once, where somebody else wrote a rate; before anything moves, since a warning may be an exception."""
        if self._warned:
            return
        own = self.lrs
        for i, group in enumerate(self.optimizer.param_groups):
            rate = group["lr"]
            if rate is own[i] or groups.is_as_seen(rate, self._seen[i]) or groups.same_value(rate, self._left(i)):
                continue
            warnings.warn(
                f"the learning rate of group {i} was set to {float(rate):.6g} by somebody else since the last"
                f" observation; rasched goes on from its own value {own[i]:.6g}. Let only one scheduler write, or use"
                " rule='none' (this warning comes once)",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
            self._warned = True
            return

    def _left(self, index: int) -> float:
        """Return a group's rate as we left it, or, before our first writing, as we found it.

        A load of the optimizer's state replaces the object and not the value; a tensor that was written into since has
        only its base rate left to tell.
        """
        if self.written:
            return self.lrs[index]
        rate, _ = self._seen[index]
        changed = isinstance(rate, Tensor) and not groups.is_as_seen(rate, self._seen[index])
        return self.base_lrs[index] if changed else float(rate)


def _number(lr: Any, rule: Rule) -> float:
    plain = float(lr)
    if plain != plain:
        raise ValueError(f"rule {rule.name} gave a learning rate that is not a number: nothing was changed")
    return plain
