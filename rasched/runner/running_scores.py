"""What the runs of a batch would be judged by if they ended now, for the table that a sweep shows meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rasched.runner.progress import without_seed

RETURNS = ("eval/return", "rollout/ep_rew_mean")  # the first that a run has; else the smoothed reward
_SMOOTHING = 0.99  # weight of the past in the smoothed reward
Means = list[tuple[tuple[str, ...], float, int]]  # per variant: its overrides, the mean score, the number of runs


class RunningScores:
    """The latest returns, or the smoothed rewards, of the runs of a batch."""

    def __init__(self, overrides: Sequence[Sequence[str]]) -> None:
        """Take the overrides of each run; those that differ in the seed only are one variant."""
        variants: dict[tuple[str, ...], list[int]] = {}
        for run_index, of_run in enumerate(overrides):
            variants.setdefault(without_seed(of_run), []).append(run_index)
        self._variants = {variant: torch.tensor(runs) for variant, runs in variants.items()}
        self._nothing = torch.full((len(overrides),), torch.nan, dtype=torch.float64)
        self._latest: dict[str, Tensor] = {}

    def add(self, columns: Mapping[str, Any]) -> None:
        """Take the columns of one row, each a float or ``(num_runs,)``; NaN is no value."""
        for name in RETURNS:
            if name in columns:
                self._update(name, columns[name], 0.0)
        if not self._latest.keys() & set(RETURNS):
            self._update("train/reward", columns["train/reward"], _SMOOTHING)

    def _update(self, name: str, values: Any, smoothing: float) -> None:
        new = torch.as_tensor(values, dtype=torch.float64).reshape(-1)
        old = self._latest.get(name, self._nothing)
        moved = torch.where(old.isnan(), new, torch.lerp(new, old, smoothing))
        self._latest[name] = torch.where(new.isnan(), old, moved)

    def means(self) -> Means:
        """Return the mean of each variant that has a score."""
        scores = self._nothing
        for name in (*RETURNS, "train/reward"):
            if name in self._latest:
                scores = torch.where(scores.isnan(), self._latest[name], scores)
        means = [(variant, scores[runs]) for variant, runs in self._variants.items()]
        return [
            (variant, of_runs.nanmean().item(), len(of_runs)) for variant, of_runs in means if not of_runs.isnan().all()
        ]
