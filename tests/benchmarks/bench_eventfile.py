"""Time a logged scalar: whole columns against torch's SummaryWriter, side by side in one run.

Run: python tests/benchmarks/bench_eventfile.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from rasched.records.tensorboard.event_file import EventFile, scalars

TAGS = ("train/reward", "train/signal", "train/lr", "train/loss", "train/regret", "train/optimal")
REPEATS = 7


def add_scalar(folder: Path, steps: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Write as `SummaryWriter` users do, one scalar a call."""
    writer = SummaryWriter(str(folder))
    for row, step in enumerate(steps.tolist()):
        for tag, values in columns.items():
            writer.add_scalar(tag, values[row], step)
    writer.close()


def columns_at_once(folder: Path, steps: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Write all rows in one call."""
    events = EventFile(folder)
    events.append(steps, columns)
    events.close()


def many_files(folder: Path, steps: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Write the files of as many runs as the columns have rows, as a sweep does."""
    for run, events_of_run in enumerate(scalars(steps, columns, time.time())):
        events = EventFile(folder / str(run))
        events.append_raw(events_of_run)
        events.close()


def live_chunks(folder: Path, steps: np.ndarray, columns: dict[str, np.ndarray]) -> None:
    """Write 100 rows a call, as a live run does."""
    events = EventFile(folder)
    for start in range(0, len(steps), 100):
        rows = slice(start, start + 100)
        events.append(steps[rows], {tag: values[rows] for tag, values in columns.items()})
        events.flush()
    events.close()


def microseconds(write: Callable[..., None], rows: int, runs: int | None = None) -> float:
    """Median time of one scalar, opening and closing the file included."""
    rng = np.random.default_rng(0)
    steps = np.arange(1, rows + 1)
    columns = {tag: rng.standard_normal(rows if runs is None else (runs, rows)) for tag in TAGS}
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(REPEATS):
            start = time.perf_counter()
            write(Path(folder) / str(repeat), steps, columns)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) / (rows * (runs or 1) * len(TAGS)) * 1e6


def main() -> None:
    """Print the table."""
    torch_time = microseconds(add_scalar, 500)
    print(f"{'way to write':<44} {'us a scalar':>12} {'times faster':>13}")
    print(f"{'SummaryWriter.add_scalar':<44} {torch_time:>12.2f} {1:>13}")
    for name, write, *size in (
        ("EventFile, live, 100 rows a flush", live_chunks, 1_000),
        ("EventFile, one file of 1,000 rows", columns_at_once, 1_000),
        ("EventFile, one file of 100,000 rows", columns_at_once, 100_000),
        ("EventFile, 64 files of 1,000 rows", many_files, 1_000, 64),
    ):
        ours = microseconds(write, *size)
        print(f"{name:<44} {ours:>12.3f} {torch_time / ours:>13.0f}")


if __name__ == "__main__":
    main()
