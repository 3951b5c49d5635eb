"""Time whole sweeps: bandit runs of 1,000 steps by Hydra's basic launcher and stacked, commands and files included.

Each sweep has a folder of its own and none is deleted before the end: ext4 looks at recently deleted inodes one by one
before it makes a file, which after a deleted sweep of 400 runs costs each new file up to ten times as much.

Run: python tests/benchmarks/bench_sweep.py [--rounds N] [--largest RUNS]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parents[2]
STEPS = 1_000
WHERE = """
import json, resource, sys, time
start = time.perf_counter()
spent = {}
def lap(name, since):
    now = time.perf_counter()
    spent[name] = spent.get(name, 0.0) + now - since
    return now
from rasched.runner.process_setup import import_torch
import_torch()
from rasched.runner import local_launcher, run_batch, sweep
from rasched.compose.composer import Composer
from rasched.runner.progress import ProgressReporter
lap("start", start)
composer = Composer.open()
def timed(name, call):
    def wrapper(*args, **kwargs):
        before = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            lap(name, before)
    return wrapper
plan_sweep = timed("composing", sweep.plan_sweep)
run_batch.train = timed("training", run_batch.train)
local_launcher.write_seed_bands = timed("summary", local_launcher.write_seed_bands)
begun = time.perf_counter()
sweep.sweep(plan_sweep(composer, sys.argv[1:], 1), ProgressReporter())
whole = time.perf_counter() - begun
spent["writing and the rest"] = whole - sum(spent[name] for name in ("composing", "training", "summary"))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"spent": spent, "peak": peak}))
"""


def words(runs: int, folder: Path) -> list[str]:
    """Return rules x base rates x seeds that make this many runs."""
    if runs < 10:
        grid = [f"seed=range(0,{runs})"]
    else:
        grid = ["rule=kelly,trend", "optimizer.lr=0.05,0.1,0.2,0.4,0.8", f"seed=range(0,{runs // 10})"]
    return [*grid, f"steps={STEPS}", f"hydra.sweep.dir={folder}"]


def call(line: list[str]) -> tuple[float, str]:
    """Return what a process took, in seconds, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = perf_counter()
    done = subprocess.run([sys.executable, *line], env=environment, capture_output=True, text=True, check=True)
    return perf_counter() - start, done.stdout


def command(runs: int, above: Path, *options: str) -> float:
    """Return the seconds of a whole command; its sweep stays in a new folder below `above`."""
    folder = Path(tempfile.mkdtemp(dir=above)) / "sweep"
    taken, _ = call(["-m", "rasched.cli", "sweep", *words(runs, folder), *options])
    assert len(list(folder.glob("*/metrics.parquet"))) == runs
    return taken


def spread(seconds: Sequence[float]) -> str:
    """Return the median of several times, and from where to where they reach."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f})"


def line(what: str, value: str) -> None:
    """Print one row of the table."""
    print(f"{what:<68} {value:>20}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        basic, few, many = [], [], []
        for _ in range(asked.rounds):  # in turns: the machine's noise meets all
            few.append(command(40, folder))
            basic.append(command(20, folder, "hydra/launcher=basic", "hydra/hydra_logging=none"))
            many.append(command(400, folder))
        start = statistics.median(command(1, folder, "hydra/launcher=basic", "hydra/hydra_logging=none") for _ in "12")
        each = (statistics.median(basic) - start) / 19
        slope = statistics.median((b - a) / 360 for a, b in zip(few, many, strict=True))
        line("load of the machine", " ".join(f"{load:.1f}" for load in os.getloadavg()))
        line("basic launcher, 20 runs", spread(basic))
        line("basic launcher, one more run", f"{each * 1e3:.1f} ms")
        line("stacked, 40 runs", spread(few))
        line("stacked, 400 runs", spread(many))
        line("stacked, one more run (from 40 to 400)", f"{slope * 1e3:.2f} ms")
        line("one more run: basic / stacked", f"{each / slope:.0f}")
        line(
            "400 runs: basic (start + 400 x one more) / stacked",
            f"{(start + 400 * each) / statistics.median(many):.0f}",
        )
        sizes = [runs for runs in (1, 10, 100, 1_000, 10_000) if runs <= asked.largest]
        for runs in sizes:
            taken, said = call(["-c", WHERE, *words(runs, folder / f"{runs}"), "hydra.mode=MULTIRUN"])
            found = json.loads(said.splitlines()[-1])
            spent = found["spent"]
            rate = runs * STEPS / spent["training"]
            parts = ", ".join(f"{what} {seconds:.2f}" for what, seconds in spent.items())
            line(f"{runs:,} runs: run-steps a second of training", f"{rate:,.0f}")
            line(f"{runs:,} runs: {parts}", f"{taken:.2f} s")
            line(f"{runs:,} runs: peak memory", f"{found['peak'] / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
