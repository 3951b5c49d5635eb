"""Kill a sweep of 200 runs with SIGKILL at random moments, resume it, and compare it with one that was left alone.

A moment is a random number of runs done, and up to half a second more.

Run: python tests/benchmarks/kill_sweep.py [--times 10] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import yaml

ROOT = Path(__file__).parents[2]
# ten batches of twenty runs
WORDS = [
    "env=gaussian,bernoulli,drifting,switching,contextual",
    "optimizer=sgd,adam",
    "rule=kelly,trend",
    "optimizer.lr=0.05,0.2",
    "seed=range(0,5)",
    "steps=600",
]


def start(*words: str) -> subprocess.Popen[bytes]:
    """Start a command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", "rasched.cli", *words], env=environment, stdout=nothing, stderr=nothing
    )


def tables(folder: Path) -> dict[str, bytes]:
    """Return each run's table; every file of every folder must be readable."""
    found = {}
    for path in sorted(folder.glob("[0-9]*")):
        assert json.loads((path / "run.json").read_text())["status"] == "done"
        for name in ("config", "overrides", "hydra"):
            yaml.safe_load((path / ".hydra" / f"{name}.yaml").read_text())
        assert len(list(path.glob("events.out.tfevents.*"))) == 1 and not (path / "metrics.jsonl").exists()
        assert len(pl.read_parquet(path / "metrics.parquet")) == 600
        found[path.name] = (path / "metrics.parquet").read_bytes()
    return found


def done(folder: Path) -> int:
    """Count the runs that are done."""
    return sum('"done"' in path.read_text() for path in folder.glob("[0-9]*/run.json"))


def main() -> None:
    """Print a line a kill."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, cut = Path(name) / "whole", Path(name) / "cut"
        assert start("sweep", *WORDS, f"hydra.sweep.dir={whole}").wait() == 0
        expected = tables(whole)
        assert len(expected) == 200
        killed = 0
        while killed < asked.times:
            processes = moments.choice("12")
            process = start("sweep", *WORDS, f"hydra.sweep.dir={cut}", "-j", processes)
            moment = moments.randrange(200)
            while not (cut / "sweep.json").exists() or (done(cut) < moment and process.poll() is None):
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.5))
            process.kill()
            if process.wait() == 0:  # it was over: no kill
                shutil.rmtree(cut)
                continue
            killed += 1
            time.sleep(0.5)  # its workers end as soon as they notice
            before = done(cut)
            assert start("resume", str(cut)).wait() == 0
            same = tables(cut) == expected
            print(
                f"kill {killed:>2}, {processes} processes: {before:>3} of 200 done; resumed: equal is {same}",
                flush=True,
            )
            assert same
            shutil.rmtree(cut)


if __name__ == "__main__":
    main()
