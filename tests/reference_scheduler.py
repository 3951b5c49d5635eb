"""The contract's scheduler, written again as a model that keeps histories and computes every rate from the start.

It imports nothing from the package. Its state is the list of observed rewards; `reference` holds the formulas. Rates of
the optimizer's groups that other schedulers write are told to it by :meth:`Model.others_wrote`.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import reference


@dataclass
class ModelGroup:
    """One parameter group: what the scheduler knows of it, and what it holds."""

    base: float
    low: float
    high: float
    lr: float  # what the group holds
    momentum: float
    expected: float  # what it holds if no other writer changed it
    is_tensor: bool = False
    since: int = 0  # the number of rewards that were observed before the group came


@dataclass
class Model:
    """What the scheduler should do, call by call; each call returns how often it should warn of another writer."""

    rule: str
    groups: list[ModelGroup]
    is_active: bool = True  # False: a warm-up is in front
    adapt_momentum: bool = False
    momentum_bounds: tuple[float, float] = (0.85, 0.95)
    skips: bool = False
    signal_settings: dict[str, Any] = field(default_factory=dict)
    rule_settings: dict[str, float] = field(default_factory=dict)
    rewards: list[float] = field(default_factory=list)
    active_since: int = 0  # the number of rewards that were observed before the end of the warm-up
    num_skipped: int = 0
    has_written: bool = False
    has_written_momentum: bool = False
    has_warned: bool = False

    def signals(self) -> list[float]:
        return reference.signals(self.rewards, **self.signal_settings)

    def is_near_tie(self) -> bool:
        """Whether a rounding could decide if a signal rose, which is all that `trend` looks at."""
        signals = self.signals()
        scale = max(map(abs, signals), default=0.0)
        return any(a != b and abs(a - b) < 1e-9 * scale for a, b in pairwise(signals))

    def lrs(self) -> list[float]:
        """The scheduler's own rates, from the start of the history."""
        signals = self.signals()
        out = []
        for group in self.groups:
            waiting = max(group.since, self.active_since)
            history = reference.rates(
                self.rule, signals, group.base, group.low, group.high, waiting, **self.rule_settings
            )
            out.append(history[-1] if history else group.base)
        return out

    def observe(self, reward: float | None) -> int:
        """A finite reward, or none; what raises or is skipped is no call of this."""
        if reward is None:
            return 0
        warns = self._warns()
        self.rewards.append(reward)
        if self.is_active and self.rule != "none":
            self._write(self.lrs())
            self._write_momentum()
        return warns

    def skip(self) -> None:
        self.num_skipped += 1

    def hand_over(self) -> None:
        """The end of the warm-up: every rule starts from the base rate, `none` too."""
        self.is_active, self.active_since = True, len(self.rewards)
        self._write([group.base for group in self.groups])
        if self.has_written_momentum:
            self._write_momentum()

    def apply(self) -> None:
        if self.is_active and self.rule != "none":
            self._write(self.lrs())
            if self.has_written_momentum:
                self._write_momentum()

    def others_wrote(self, lrs: Sequence[float]) -> None:
        for group, lr in zip(self.groups, lrs, strict=True):
            group.lr = lr

    def add(self, group: ModelGroup) -> None:
        group.since = len(self.rewards)
        self.groups.append(group)

    def load(self, saved: "Model", with_optimizer: bool) -> None:
        """Restore another moment: its history, and what the groups held then, another writer's rates included."""
        if with_optimizer:
            for group, then in zip(self.groups, saved.groups, strict=True):
                group.lr, group.momentum = then.lr, then.momentum
        self.rewards, self.num_skipped = list(saved.rewards), saved.num_skipped
        self.is_active, self.active_since = saved.is_active, saved.active_since
        for group, then in zip(self.groups, saved.groups, strict=True):
            group.since = then.since
        writes = self.is_active and self.rule != "none"
        if writes:
            self._write([group.lr for group in saved.groups])
            self.has_written_momentum = saved.has_written_momentum
            if saved.has_written_momentum:
                for group, then in zip(self.groups, saved.groups, strict=True):
                    group.momentum = then.momentum
        self.has_written = saved.has_written

    def copy(self) -> "Model":
        return deepcopy(self)

    def _warns(self) -> int:
        if self.has_warned or not self.is_active or self.rule == "none":
            return 0
        expected = self.lrs() if self.has_written else [group.expected for group in self.groups]
        # equal up to rounding: the model's own rates differ from the scheduler's in the last digits
        if all(abs(group.lr - lr) <= 1e-9 * lr for group, lr in zip(self.groups, expected, strict=True)):
            return 0
        self.has_warned = True
        return 1

    def _write(self, lrs: Sequence[float]) -> None:
        for group, lr in zip(self.groups, lrs, strict=True):
            group.lr = group.expected = lr
        self.has_written = True

    def _write_momentum(self) -> None:
        if self.adapt_momentum:
            for group in self.groups:
                group.momentum = reference.momentum(group.lr, group.low, group.high, *self.momentum_bounds)
            self.has_written_momentum = True
