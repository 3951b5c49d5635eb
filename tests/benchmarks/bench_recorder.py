"""Time the records: a step of one run and of a thousand, files of a finished batch, reading a sweep back, a picture.

Run: python tests/benchmarks/bench_recorder.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import torch

from rasched.analysis.load import load, load_run
from rasched.analysis.plots import lr_vs_reward
from rasched.records.recorder import Recorder

NAMES = ("train/reward", "train/signal", "train/lr", "train/loss", "train/regret", "train/optimal")
STEPS = 1_000
RUNS = 1_000


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def fill(recorder: Recorder, columns: list[dict[str, object]]) -> list[float]:
    """Time of each call of `record`, in seconds."""
    return [seconds(lambda step=step, row=row: recorder.record(step, row)) for step, row in enumerate(columns, 1)]


def line(what: str, value: float, unit: str) -> None:
    """Print one row of the table."""
    print(f"{what:<62} {value:>9.2f} {unit}")


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        floats = [dict.fromkeys(NAMES, float(row)) for row in range(100 * STEPS)]
        one = Recorder([root / "one"], steps=len(floats))
        taken = fill(one, floats)
        line("record, one run, six floats, median", statistics.median(taken) * 1e6, "us")
        line("record, one run, six floats, mean (journal and events written)", statistics.fmean(taken) * 1e6, "us")
        line(f"close, one run of {len(floats):,} steps", seconds(one.close) * 1e3, "ms")
        tensors = [dict.fromkeys(NAMES, torch.rand(RUNS, dtype=torch.float64))] * STEPS
        folders = [root / "sweep" / str(run) for run in range(RUNS)]
        batch = Recorder(folders, steps=STEPS, hparams=[{"lr": 0.1, "rule": "kelly"}] * RUNS)
        taken = fill(batch, tensors)
        line(f"record, {RUNS:,} runs, six tensors, median", statistics.median(taken) * 1e6, "us")
        line(f"record, {RUNS:,} runs, six tensors, mean (fresh memory)", statistics.fmean(taken) * 1e6, "us")
        line(f"close, {RUNS:,} runs of {STEPS:,} steps", seconds(batch.close) / RUNS * 1e3, "ms a run")
        line(f"list {RUNS:,} runs", seconds(lambda: load(root / "sweep")) * 1e3, "ms")
        sweep = load(root / "sweep")
        mean = sweep.metrics().group_by("run").agg(pl.col("train/reward").mean())
        line(f"mean reward of {RUNS:,} runs, one column read", seconds(mean.collect) * 1e3, "ms")
        line(f"read {RUNS:,} runs whole", seconds(sweep.metrics().collect) * 1e3, "ms")
        for run in ("one", "sweep/0"):
            metrics = load_run(root / run).metrics
            lr_vs_reward(metrics, root / "warm.png")
            drawn = [seconds(lambda table=metrics: lr_vs_reward(table, root / "picture.png")) for _ in range(5)]
            line(f"lr_vs_reward of {len(metrics):,} steps", statistics.median(drawn) * 1e3, "ms")


if __name__ == "__main__":
    main()
