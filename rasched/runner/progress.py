"""What a person sees of a sweep while it runs: a line for each run that fails, and a live table on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rasched.runner.watch import Watch

if TYPE_CHECKING:
    from rasched.analysis.seed_bands import CurveData

REFRESH = 0.1  # seconds


@dataclass(frozen=True)
class Ended:
    """How a run ended, in few enough words to be sent from a worker."""

    overrides: tuple[str, ...]
    status: str
    reason: str | None = None
    score: float | None = None
    means: CurveData | None = None


class Progress:
    """Silent, but for what it keeps of the runs that ended; the base of what shows something."""

    def __init__(self) -> None:
        self.means: dict[tuple[str, ...], CurveData] = {}  # by a run's overrides: what is drawn of it

    def begin(self, runs: int, run_steps: int) -> None:
        """Take the number of runs to train, and the environment steps of all of them together."""

    def advance(self, run_steps: int) -> None:
        """Take note of environment steps done since the last call, of all runs together."""

    def failed(self, overrides: Sequence[str], reason: str) -> None:
        """Take note of a run that has just failed; it will also be among those that ended."""

    def ended(self, runs: Sequence[Ended]) -> None:
        """Take note of runs whose folders are complete."""
        self.means |= {run.overrides: run.means for run in runs if run.means is not None}

    def __enter__(self) -> Progress:
        """Show it from here on."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it off the screen."""


class Lines(Progress):
    """A line on stderr for each run that fails, as soon as it does."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, ...]] = set()

    def failed(self, overrides: Sequence[str], reason: str) -> None:
        """Print it, once a run."""
        if tuple(overrides) not in self._told:
            self._told.add(tuple(overrides))
            self._print(f"failed: {' '.join(overrides)}: {reason}")

    def ended(self, runs: Sequence[Ended]) -> None:
        """Print those that failed without a word before."""
        super().ended(runs)
        for run in runs:
            if run.status == "failed":
                self.failed(run.overrides, run.reason or "")

    def _print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class Table(Lines):
    """A live table on stderr over all runs of the command; it vanishes at the end."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
        self._runs = self._run_steps = self._steps = self._done = self._failed = 0
        self._best: Ended | None = None
        self._next = 0.0

    def begin(self, runs: int, run_steps: int) -> None:
        """Start the clock."""
        self._runs, self._run_steps = runs, run_steps
        self._start = time.monotonic()
        self._show()

    def advance(self, run_steps: int) -> None:
        """Redraw ten times a second."""
        self._steps += run_steps
        if time.monotonic() >= self._next:
            self._show()

    def ended(self, runs: Sequence[Ended]) -> None:
        """Count, and keep the best."""
        super().ended(runs)
        for run in runs:
            self._done += run.status == "done"
            self._failed += run.status == "failed"
            if run.score is not None and (self._best is None or run.score > (self._best.score or 0.0)):
                self._best = run
        self._show()

    def _show(self) -> None:
        from rich.table import Table as Grid

        self._next = time.monotonic() + REFRESH
        spent = time.monotonic() - self._start
        speed = self._steps / spent if spent > 0 else 0.0
        grid = Grid(box=None, header_style="bold")
        for name in ("done", "failed", "run-steps", "a second", "left", "best so far"):
            grid.add_column(name, justify="left" if name == "best so far" else "right", overflow="ellipsis")
        left = _clock((self._run_steps - self._steps) / speed) if speed else "?"
        best = f"{self._best.score:.4g}  {' '.join(self._best.overrides)}" if self._best else ""
        share = f"{min(1.0, self._steps / max(1, self._run_steps)):.0%}"
        grid.add_row(f"{self._done} of {self._runs}", str(self._failed), share, f"{speed:,.0f}", left, best)
        self._live.update(grid, refresh=True)

    def _print(self, line: str) -> None:
        self._live.console.print(line, style="red", markup=False, highlight=False)

    def __enter__(self) -> Table:
        """Take the bottom of the terminal."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self._live.stop()


class Feed(Watch):
    """Tells a sweep's progress what a batch's watch is told."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._runs = self._told = 0
        self._next = 0.0

    @contextmanager
    def batch(self, runs: int, steps: int) -> Iterator[None]:
        """Count a batch as done at the end of it, however early its runs ended."""
        self._runs, self._told = runs, 0
        yield
        self._tell(steps)

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        """Pass on ten times a second how far the batch is."""
        moment = time.monotonic()
        if moment >= self._next:
            self._next = moment + REFRESH
            self._tell(step)

    def _tell(self, step: int) -> None:
        self.progress.advance((step - self._told) * self._runs)
        self._told = step

    def failed(self, overrides: Sequence[str], reason: str) -> None:
        """Pass it on."""
        self.progress.failed(overrides, reason)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
