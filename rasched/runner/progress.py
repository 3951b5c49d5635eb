"""Report the progress of training: nothing, failures only, a bar for one run, or a live table for a sweep."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rasched.records.primary_score import primary_score
from rasched.train.run_result import CurveData, RunResult, RunStatus

if TYPE_CHECKING:
    from rasched.runner.running_scores import Means, RunningScores

REFRESH_SECONDS = 0.1
_SCORE_SECONDS = 0.5  # between two reports of scores
_LINE_SECONDS = 10.0  # between two lines
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

    def begin(self, num_runs: int, num_run_steps: int, overrides: Sequence[Sequence[str]] = ()) -> None:
        """Take the number of runs, the sum of their environment steps, and the overrides of each run, if known."""

    @contextmanager
    def batch(self, num_runs: int, num_steps: int, overrides: Sequence[Sequence[str]] = ()) -> Iterator[None]:
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

    def report_scores(self, means: Means) -> None:
        """Take the scores so far of the variants in a batch that trains."""

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


class ScoreReporter(ProgressReporter):
    """A reporter that follows the scores of the variants in the batch that trains."""

    _scores: RunningScores | None = None
    _next_report = 0.0

    @contextmanager
    def batch(self, num_runs: int, num_steps: int, overrides: Sequence[Sequence[str]] = ()) -> Iterator[None]:
        """Begin to follow the scores, if the overrides of the runs are known."""
        from rasched.runner.running_scores import RunningScores

        self._scores = RunningScores(overrides) if overrides else None
        with super().batch(num_runs, num_steps, overrides):
            yield
        self._scores = None

    def step(self, step: int, columns: Mapping[str, Any]) -> None:
        """Take the columns of one step, and report the scores twice a second."""
        if self._scores is not None:
            self._scores.add(columns)
            now = time.monotonic()
            if now >= self._next_report:
                self._next_report = now + _SCORE_SECONDS
                self.report_scores(self._scores.means())
        super().step(step, columns)


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

    def begin(self, num_runs: int, num_run_steps: int, overrides: Sequence[Sequence[str]] = ()) -> None:
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


class ProgressLines(FailureLines):
    """Prints how much is done on stderr, a line every ten seconds, for a command whose stderr is no terminal."""

    def begin(self, num_runs: int, num_run_steps: int, overrides: Sequence[Sequence[str]] = ()) -> None:
        """Start the clock."""
        self._num_runs, self._num_run_steps, self._num_steps_done = num_runs, num_run_steps, 0
        self._start = time.monotonic()
        self._next_line = self._start + _LINE_SECONDS

    def advance(self, num_run_steps: int) -> None:
        """Print a line if it is time."""
        self._num_steps_done += num_run_steps
        now = time.monotonic()
        if now >= self._next_line and self._num_steps_done:
            self._next_line = now + _LINE_SECONDS
            share = self._num_steps_done / self._num_run_steps
            remaining = _format_clock((now - self._start) * (1 / share - 1))
            self._print(f"{share:.0%} of the steps of {self._num_runs:,} runs, {remaining} left")


class LiveTable(FailureLines, ScoreReporter):
    """A live table on stderr over all runs of the command; it vanishes at the end."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
        self._num_runs = self._num_run_steps = self._num_steps_done = self._num_done = self._num_failed = 0
        self._running: dict[tuple[str, ...], tuple[float, int]] = {}  # mean score and number of runs, by variant
        self._done: dict[tuple[str, ...], tuple[float, int]] = {}
        self._common: set[str] = set()
        self._next_draw = 0.0

    def begin(self, num_runs: int, num_run_steps: int, overrides: Sequence[Sequence[str]] = ()) -> None:
        """Start the clock."""
        self._num_runs, self._num_run_steps = num_runs, num_run_steps
        self._common = set.intersection(*map(set, overrides)) if overrides else set()
        self._start = time.monotonic()
        self._draw()

    def advance(self, num_run_steps: int) -> None:
        """Redraw ten times a second."""
        self._num_steps_done += num_run_steps
        if time.monotonic() >= self._next_draw:
            self._draw()

    def report_scores(self, means: Means) -> None:
        """Keep the scores so far."""
        self._running |= {variant: (mean, num_runs) for variant, mean, num_runs in means}

    def complete(self, results: Sequence[RunResult]) -> None:
        """Count the runs, and add their scores to those of their variants."""
        super().complete(results)
        for result in results:
            self._num_done += result.is_done
            self._num_failed += result.status is RunStatus.FAILED
            variant, value = without_seed(result.overrides), primary_score(result.scores)
            self._running.pop(variant, None)
            if value is not None:
                mean, num_runs = self._done.get(variant, (0.0, 0))
                self._done[variant] = mean + (value - mean) / (num_runs + 1), num_runs + 1
        self._draw()

    def _best(self) -> str:
        """Return score, overrides and number of runs of the best variant so far."""
        scores = {**self._done, **self._running}
        if not scores:
            return ""
        variant = max(scores, key=lambda key: scores[key][0])
        mean, num_runs = scores[variant]
        label = " ".join(o for o in variant if o not in self._common)
        return f"{mean:.4g}  {label}{'  ' if label else ''}({num_runs} run{'s' if num_runs > 1 else ''})"

    def _draw(self) -> None:
        from rich.table import Table

        self._next_draw = time.monotonic() + REFRESH_SECONDS
        seconds = time.monotonic() - self._start
        speed = self._num_steps_done / seconds if seconds > 0 else 0.0
        table = Table(box=None, header_style="bold")
        for name in ("done", "failed", "steps", "steps/s", "ETA", "best so far"):
            is_last = name == "best so far"
            table.add_column(name, justify="left" if is_last else "right", overflow="ellipsis", no_wrap=True)
        remaining = _format_clock((self._num_run_steps - self._num_steps_done) / speed) if speed else "?"
        share = f"{min(1.0, self._num_steps_done / max(1, self._num_run_steps)):.0%}"
        steps = f"{share} of {_format_count(self._num_run_steps)}"
        done = f"{self._num_done} of {self._num_runs}"
        table.add_row(done, str(self._num_failed), steps, _format_count(speed), remaining, self._best())
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


def _format_count(number: float) -> str:
    """Return a number with three digits and a suffix: 20k, 1.5M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return f"{number:.0f}"


def without_seed(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that make a variant: all but the seed."""
    return tuple(override for override in overrides if not override.startswith("seed="))


def _format_clock(seconds: float) -> str:
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
