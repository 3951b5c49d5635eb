"""Time reading records: compare 1,000 runs of 1,000 steps, list 2,000 runs, plot a sweep of 100.

python tests/benchmarks/bench_analysis.py
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rasched.analysis.load import read_results
from rasched.analysis.report import write_report
from rasched.analysis.sweep_plots import plot_curves
from rasched.cli.ls import ls
from rasched.records.metrics import to_frame, write_metrics
from rasched.records.run_json import RECORD, write_json

RULES, SEEDS = ("none", "kelly", "trend", "scaling"), 500


def leave_runs(folder: Path) -> None:
    rng, steps = np.random.default_rng(0), np.arange(1, 1_001)
    for number in range(len(RULES) * SEEDS):
        rule, seed = RULES[number % len(RULES)], number // len(RULES)
        run = folder / str(number // 100) / str(number)
        run.mkdir(parents=True)
        reward = rng.standard_normal(len(steps))
        columns = {"train/reward": reward, "train/lr": np.full(len(steps), 0.1)}
        write_metrics(run, to_frame(steps, columns))
        overrides = [f"rule={rule}", f"seed={seed}"]
        scores = {"reward_last_tenth": float(reward[-100:].mean())}
        write_json(
            run / RECORD, {"status": "done", "seed": seed, "steps": 1_000, "overrides": overrides, "scores": scores}
        )


def line(name: str, work: Callable[[], object]) -> None:
    start, start_cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{name:<45} {time.perf_counter() - start:6.2f} s, of the processor {time.process_time() - start_cpu:6.2f} s")


def print_quietly(work: Callable[[], object]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        work()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        leave_runs(folder)
        half = [folder / str(part) for part in range(10)]
        line("read and compare 1,000 runs by their scores", lambda: read_results(half).compare())
        line("read and compare 1,000 runs by a curve", lambda: read_results(half).compare("train/reward"))
        line("list 2,000 runs", lambda: print_quietly(lambda: ls(str(folder), "name", False, as_json=False)))
        line("plot a sweep of 100 runs", lambda: plot_curves(read_results([folder / "0"]), folder / "curves.png"))
        line("report on 100 runs", lambda: write_report(read_results([folder / "0"]), folder / "report.html"))


if __name__ == "__main__":
    main()
