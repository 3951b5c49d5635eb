"""Report the progress of training: nothing, failures only, a bar for one run, or a live table for a sweep."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rasched.records.scores import primary_score
from rasched.train.run_result import CurveData, RunResult, RunStatus

REFRESH_SECONDS = 0.1
_SMOOTHING = 0.99  # weight of the past in the smoothed reward of the bar


class ProgressReporter:
    """Shows nothing, but keeps the curves of completed runs. The base class of the reporters that show something.

    :meth:`batch` and :meth:`step` are called where a batch is trained; :meth:`advance`, :meth:`fail` and
    :meth:`complete` also by workers' messages.
    """

    def __init__(self) -> None:
        self.curves: dict[tuple[str, ...], CurveData] = {}  # by the overrides of a run
        self._num_runs_in_batch = self._last_step = 0
        self._next_refresh = 0.0

    def begin(self, num_runs: int, num_run_steps: int) -> None:
        """Take the number of runs, and the sum of their environment steps."""

    @contextmanager
    def batch(self, num_runs: int, num_steps: int) -> Iterator[None]:
        """Surround the training of runs of ``num_steps`` environment steps each; at its end all steps count as done."""
        self._num_runs_in_batch, self._last_step = num_runs, 0
        yield
        self._advance_to(num_steps)

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        """Take the columns of one step, floats or tensors of shape ``(num_runs,)``."""
        now = time.monotonic()
        if now >= self._next_refresh:
            self._next_refresh = now + REFRESH_SECONDS
            self._advance_to(step)

    def _advance_to(self, step: int) -> None:
        self.advance((step - self._last_step) * self._num_runs_in_batch)
        self._last_step = step

    def advance(self, num_run_steps: int) -> None:
        """Take the number of environment steps since the last call, summed over runs."""

    def fail(self, overrides: Sequence[str], error: str) -> None:
        """Take a run that has just failed, while its batch goes on. It will also be among the completed."""

    def complete(self, results: Sequence[RunResult]) -> None:
        """Take runs whose files are complete."""
        self.curves |= {result.overrides: result.curves for result in results if result.curves is not None}

    def __enter__(self) -> ProgressReporter:
        """Start to show progress."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it from the screen."""


class ProgressBar(ProgressReporter):
    """A bar on stderr with the smoothed reward and the learning rate; it vanishes at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__()
        self._reward: float | None = None
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("reward {task.fields[reward]}"),
            TextColumn("lr {task.fields[lr]}"),
            TimeRemainingColumn(),
        ]
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)

    def begin(self, num_runs: int, num_run_steps: int) -> None:
        """Set the length of the bar."""
        description = f"{num_runs} runs" if num_runs > 1 else "run"
        self._task = self._bar.add_task(description, total=num_run_steps, reward="", lr="")

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        """Smooth the reward (of a batch: of the steps that are shown), and redraw ten times a second."""
        if self._num_runs_in_batch == 1:
            self._smooth(columns["train/reward"])
        if time.monotonic() >= self._next_refresh:
            if self._num_runs_in_batch > 1:
                self._smooth(_mean(columns["train/reward"]))
            reward = "" if self._reward is None else f"{self._reward:.3f}"
            self._bar.update(self._task, reward=reward, lr=f"{_mean(columns['train/lr']):.3g}")
        super().step(step, columns)

    def advance(self, num_run_steps: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, advance=num_run_steps)
        self._bar.refresh()

    def _smooth(self, reward: Any) -> None:
        value = _mean(reward)
        if value == value:  # NaN means that this step had no reward
            past = self._reward
            self._reward = value if past is None else _SMOOTHING * past + (1 - _SMOOTHING) * value

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class FailureLines(ProgressReporter):
    """Prints a line on stderr for each run that fails, as soon as it does."""

    def __init__(self) -> None:
        super().__init__()
        self._reported: set[tuple[str, ...]] = set()

    def fail(self, overrides: Sequence[str], error: str) -> None:
        """Print the failure, once per run."""
        if tuple(overrides) not in self._reported:
            self._reported.add(tuple(overrides))
            self._print(f"failed: {' '.join(overrides)}: {error}")

    def complete(self, results: Sequence[RunResult]) -> None:
        """Print the failures that were not reported before."""
        super().complete(results)
        for result in results:
            if result.status is RunStatus.FAILED:
                self.fail(result.overrides, result.error or "")

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class LiveTable(FailureLines):
    """A live table on stderr over all runs of the command; it vanishes at the end."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
        self._num_runs = self._num_run_steps = self._num_steps_done = self._num_done = self._num_failed = 0
        self._best: tuple[float, tuple[str, ...]] | None = None
        self._next_draw = 0.0

    def begin(self, num_runs: int, num_run_steps: int) -> None:
        """Start the clock."""
        self._num_runs, self._num_run_steps = num_runs, num_run_steps
        self._start = time.monotonic()
        self._draw()

    def advance(self, num_run_steps: int) -> None:
        """Redraw ten times a second."""
        self._num_steps_done += num_run_steps
        if time.monotonic() >= self._next_draw:
            self._draw()

    def complete(self, results: Sequence[RunResult]) -> None:
        """Count the runs, and keep the best score."""
        super().complete(results)
        for result in results:
            self._num_done += result.is_done
            self._num_failed += result.status is RunStatus.FAILED
            value = primary_score(result.scores)
            if value is not None and (self._best is None or value > self._best[0]):
                self._best = value, result.overrides
        self._draw()

    def _draw(self) -> None:
        from rich.table import Table

        self._next_draw = time.monotonic() + REFRESH_SECONDS
        seconds = time.monotonic() - self._start
        speed = self._num_steps_done / seconds if seconds > 0 else 0.0
        table = Table(box=None, header_style="bold")
        for name in ("done", "failed", "progress", "steps/s", "ETA", "best so far"):
            table.add_column(name, justify="left" if name == "best so far" else "right", overflow="ellipsis")
        remaining = _format_clock((self._num_run_steps - self._num_steps_done) / speed) if speed else "?"
        best = f"{self._best[0]:.4g}  {' '.join(self._best[1])}" if self._best else ""
        progress = f"{min(1.0, self._num_steps_done / max(1, self._num_run_steps)):.0%}"
        done = f"{self._num_done} of {self._num_runs}"
        table.add_row(done, str(self._num_failed), progress, f"{speed:,.0f}", remaining, best)
        self._live.update(table, refresh=True)

    def _print(self, line: str) -> None:
        self._live.console.print(line, style="red", markup=False, highlight=False)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def _mean(value: Any) -> float:
    return float(value if isinstance(value, (int, float)) else value.nanmean())


def _format_clock(seconds: float) -> str:
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
