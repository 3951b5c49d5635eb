"""Rules of different classes for one batch of runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rasched import stacking
from rasched.numerics import Real
from rasched.rules.base import Rule

VECTOR_WIDTH = 32  # no vector loop of torch is longer, in elements of four or eight bytes


class RuleBatch:
    """The rules of a batch of runs, stacked by class and shared settings.

    The last elements of an array, which do not fill a vector, go through another implementation of ``tanh`` or ``exp``
    than whole vectors do, and it rounds differently. So each stack is padded to whole vectors by repeating its last
    run. Then a run's rate does not depend on how many other runs are in its stack.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        indices_by_key: dict[Hashable, list[int]] = {}
        for run_index, rule in enumerate(rules):
            indices_by_key.setdefault(stack_key(rule), []).append(run_index)
        padded = [indices + indices[-1:] * (-len(indices) % VECTOR_WIDTH) for indices in indices_by_key.values()]
        self._stacks = [
            (stacking.stack([rules[i] for i in indices]), stacking.run_index(indices)) for indices in padded
        ]

    def initial_lr(self, base_lr: Tensor) -> Tensor:
        """Return each run's learning rate before the first observation, shape ``(num_runs,)``."""
        return self._collect(lambda rule, runs: rule.initial_lr(base_lr[runs]), base_lr)

    def set_context(self, **facts: Real) -> None:
        """Set facts that all runs share, or of each run, ``(num_runs,)``; see :meth:`Rule.set_context`."""
        for rule, runs in self._stacks:
            rule.set_context(**{name: fact[runs] if isinstance(fact, Tensor) else fact for name, fact in facts.items()})

    def observe(
        self,
        signal: Tensor,
        has_reward: Tensor | None = None,
        extra_signals: Mapping[str, Tensor] | None = None,
        is_skipped: Tensor | None = None,
    ) -> Tensor | None:
        """Take each run's signal, shape ``(num_runs,)``, of the runs for which ``has_reward`` is true (None: all).

        ``extra_signals`` holds further signals by name, each ``(num_runs,)``. A rule gets NaN for one that is absent.
        The rules of the runs in ``is_skipped``, of those without a reward, do not take note of this step at all.

        Returns for which runs the rate changes, shape ``(num_runs,)``, or None if it does for all.
        """
        extra_signals = extra_signals or {}
        if has_reward is None:
            for rule, runs in self._stacks:
                rule.observe(signal[runs], **_needed_signals(rule, extra_signals, runs, signal))
            return None
        changes_lr = has_reward.clone()
        for rule, runs in self._stacks:
            needed = _needed_signals(rule, extra_signals, runs, signal)
            before = stacking.snapshot(rule)
            rule.observe(signal[runs], **needed)
            observed = stacking.snapshot(rule)
            stacking.restore(rule, before)
            changes_lr[runs] = changes_lr[runs] | rule.observe_missing(**needed)
            missed = stacking.snapshot(rule)
            stacking.restore(rule, observed)
            stacking.restore_where_not(rule, has_reward[runs], missed)
            if is_skipped is not None:
                stacking.restore_where_not(rule, ~is_skipped[runs], before)
        return changes_lr if is_skipped is None else changes_lr & ~is_skipped

    def next_lr(self, lr: Tensor, base_lr: Tensor) -> Tensor:
        """Return each run's next learning rate, shape ``(num_runs,)``."""
        return self._collect(lambda rule, runs: rule.next_lr(lr[runs], base_lr[runs]), lr)

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the state of each stack of rules, as tensors."""
        return [stacking.state_dict(rule) for rule, _ in self._stacks]

    def load_state_dict(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Continue from the state of a batch of the same rules."""
        for (rule, _), saved in zip(self._stacks, state, strict=True):
            stacking.load_state_dict(rule, saved)

    def _collect(self, lr_of: Callable[[Rule, slice | Tensor], Real], like: Tensor) -> Tensor:
        lrs = torch.empty_like(like)
        for rule, runs in self._stacks:
            lrs[runs] = lr_of(rule, runs)
        return lrs


def _needed_signals(
    rule: Rule, extra_signals: Mapping[str, Tensor], runs: slice | Tensor, like: Tensor
) -> dict[str, Tensor]:
    if not rule.extra_signals:
        return {}
    missing = torch.full_like(like, torch.nan)
    return {name: extra_signals.get(name, missing)[runs] for name in rule.extra_signals}


def stack_key(rule: Rule) -> Hashable:
    """Return what rules must have in common to be stacked: their class, and settings that are not floats."""
    settings = stacking.settings_of(rule).items()
    return type(rule), tuple((name, value) for name, value in settings if not isinstance(value, float))
