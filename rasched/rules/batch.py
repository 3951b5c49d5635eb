"""Rules of many kinds over one batch of runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from rasched import stacking
from rasched.numerics import Real
from rasched.rules.base import Rule

VECTOR_WIDTH = 32  # no vector loop of torch is longer, in elements of four or eight bytes


class RuleBatch:
    """One stacked rule a kind, each for its own runs; a kind is a class with the settings that its runs must share.

    The ragged end of an array goes through another implementation of ``tanh`` or ``exp`` than its vectors, which rounds
    differently. So a kind's runs are filled up to whole vectors, by its last one over again: then a run's rate does not
    depend on how many others have its kind.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        places: dict[Hashable, list[int]] = {}
        for place, rule in enumerate(rules):
            places.setdefault(kind(rule), []).append(place)
        filled = [own + own[-1:] * (-len(own) % VECTOR_WIDTH) for own in places.values()]
        self._kinds = [(stacking.stack([rules[i] for i in own]), stacking.run_index(own)) for own in filled]

    def initial_lr(self, base_lr: Tensor) -> Tensor:
        """Return each run's rate before the first observation, shape ``(runs,)``."""
        return self._each(lambda rule, own: rule.initial_lr(base_lr[own]), base_lr)

    def observe(self, signal: Tensor, heard: Tensor | None = None) -> Tensor | None:
        """Take each run's signal, shape ``(runs,)``; a run for which ``heard`` is false had none and is idle.

        Returns which runs' rates move, None where all do.
        """
        if heard is None:
            for rule, own in self._kinds:
                rule.observe(signal[own])
            return None
        moved = heard.clone()
        for rule, own in self._kinds:
            before = stacking.snapshot(rule)
            rule.observe(signal[own])
            after = stacking.snapshot(rule)
            stacking.restore(rule, before)
            moved[own] = moved[own] | rule.observe_missing()
            idled = stacking.snapshot(rule)
            stacking.restore(rule, after)
            stacking.restore_where_not(rule, heard[own], idled)
        return moved

    def next_lr(self, lr: Tensor, base_lr: Tensor) -> Tensor:
        """Return each run's next rate, shape ``(runs,)``."""
        return self._each(lambda rule, own: rule.next_lr(lr[own], base_lr[own]), lr)

    def _each(self, rates: Callable[[Rule, slice | Tensor], Real], like: Tensor) -> Tensor:
        out = torch.empty_like(like)
        for rule, own in self._kinds:
            out[own] = rates(rule, own)
        return out


def kind(rule: Rule) -> Hashable:
    """Return what rules must agree in to be stacked."""
    return type(rule), tuple(v for v in stacking.settings_of(rule).values() if not isinstance(v, float))
