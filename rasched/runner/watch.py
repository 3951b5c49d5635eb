"""What a person sees while runs train: a bar, the smoothed reward, the current rate. Nothing where nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

_REFRESH = 0.1  # seconds
_SMOOTHING = 0.99


class Watch:
    """Silent; the base of what shows something."""

    def begin(self, runs: int, run_steps: int) -> None:
        """Take the number of runs, and the environment steps of all of them together."""

    @contextmanager
    def batch(self, runs: int, steps: int) -> Iterator[None]:
        """Surround the training of ``runs`` runs of ``steps`` environment steps each."""
        yield

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        """Take one step's columns, floats or tensors of shape ``(runs,)``."""

    def failed(self, overrides: Sequence[str], reason: str) -> None:
        """Take note of a run that has just failed, while its batch goes on."""


class Bar(Watch):
    """A bar on stderr over all runs of the command; it vanishes at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._many = False
        self._before = 0
        self._runs = 1
        self._reward: float | None = None
        self._next = 0.0
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("reward {task.fields[reward]}"),
            TextColumn("rate {task.fields[lr]}"),
            TimeRemainingColumn(),
        ]
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)

    def begin(self, runs: int, run_steps: int) -> None:
        """Set the length of the bar."""
        self._many = runs > 1
        self._task = self._progress.add_task(f"{runs} runs" if self._many else "run", total=run_steps, reward="", lr="")

    @contextmanager
    def batch(self, runs: int, steps: int) -> Iterator[None]:
        """Show the bar, and take the batch as done at the end of it, however early its runs ended."""
        self._runs = runs
        with self._progress:
            yield
        self._before += runs * steps
        self._reward = None

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        """Smooth the reward; redraw ten times a second."""
        if not self._many:
            self._smooth(columns["train/reward"])
        moment = time.monotonic()
        if moment < self._next:
            return
        self._next = moment + _REFRESH
        if self._many:
            self._smooth(_mean(columns["train/reward"]))
        reward = "" if self._reward is None else f"{self._reward:.3f}"
        done = self._before + step * self._runs
        self._progress.update(self._task, completed=done, reward=reward, lr=f"{_mean(columns['train/lr']):.3g}")
        self._progress.refresh()

    def _smooth(self, reward: float) -> None:
        if reward == reward:  # NaN: this step had none
            old = self._reward
            self._reward = reward if old is None else _SMOOTHING * old + (1 - _SMOOTHING) * reward


def _mean(value: Any) -> float:
    return float(value if isinstance(value, float) else value.nanmean())
