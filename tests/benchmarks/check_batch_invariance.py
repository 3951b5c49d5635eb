"""Count what a run's neighbours change: runs of every bandit, rule and optimizer, alone, in sweeps of 7 and of 300.

Run: python tests/benchmarks/check_batch_invariance.py [--runs 300] [--steps 1000]

Whole commands write the sweeps, in two orders; a run's metrics.parquet must be the same bytes in all of them. Against
`rasched run`, which is torch's own optimizer, numbers agree to rounding until an arm first differs, and it is counted
in how many runs one ever does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer, expand_overrides
from rasched.compose.settings import run_settings
from rasched.rules import RULES
from rasched.train.learner import BATCHABLE_OPTIMIZERS
from tests.run_factories import train_runs

ROOT = Path(__file__).parents[2]
BANDITS = ("gaussian", "bernoulli", "drifting", "switching", "contextual")
# What an arm decides: the same numbers where arms are the same.
EXACT = ("train/reward", "train/regret", "train/optimal")


def sweep(folder: Path, *words: str) -> dict[tuple[str, ...], bytes]:
    """Run a sweep and return each run's table by its settings."""
    line = [sys.executable, "-m", "rasched.cli", "sweep", *words, f"hydra.sweep.dir={folder}"]
    subprocess.run(line, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    found = {}
    for record in folder.glob("*/run.json"):
        overrides = json.loads(record.read_text())["overrides"]
        found[tuple(sorted(overrides))] = (record.parent / "metrics.parquet").read_bytes()
    return found


def same_bytes(root: Path, steps: int) -> tuple[int, int]:
    """Return how many runs were compared over sweeps of 7 and some 300 neighbours, and how many differed."""
    rules = RULES.names()[:5]
    compared = different = 0
    for optimizer in BATCHABLE_OPTIMIZERS:
        common = [f"optimizer={optimizer}", f"steps={steps}", "logger.log_every=null"]
        bandits = f"env={','.join(BANDITS)}"
        small = sweep(root / f"{optimizer}7", f"rule={','.join(rules)}", bandits, "seed=3", *common)
        small |= sweep(root / f"{optimizer}7b", "rule=kelly", bandits, "seed=range(20,27)", *common)
        large = sweep(root / f"{optimizer}300", f"rule={','.join(rules)}", bandits, "seed=range(0,60)", *common)
        back = ",".join(reversed(rules))
        order = ",".join(str(seed) for seed in reversed(range(60)))
        turned = sweep(root / f"{optimizer}300b", f"seed={order}", f"rule={back}", bandits, *common)
        compared += len(large)
        different += sum(large[run] != turned[run] for run in large)
        different += sum(large[run] != table for run, table in small.items())
        print(f"{optimizer:<10} {len(large):>5} runs in batches of 300, {len(small)} in batches of 5 and 7: "
              f"{different} differ so far", flush=True)  # fmt: skip
    return compared, different


def different_arms(root: Path, runs: int, steps: int) -> tuple[int, float]:
    """Return in how many runs an arm ever differs from the run alone, and the largest relative difference before."""
    words = ["rule=kelly,trend", "optimizer.lr=0.05,0.2,0.8", f"seed=range(0,{runs // 6})", f"steps={steps}"]
    sweep(root / "arms", *words)
    composer = Composer.open()
    own, jobs = expand_overrides(composer, words)
    parted, sweep_exit_code = 0, 0.0
    for job in JobComposer(composer, own).compose_all(jobs):
        rows: dict[str, list[float]] = {name: [] for name in (*EXACT, "train/lr")}
        train_runs([run_settings(job.config)], lambda step, columns, rows=rows: _keep(rows, columns))
        table = pl.read_parquet(root / "arms" / job.subdir / "metrics.parquet")
        alone = {name: np.array(values) for name, values in rows.items()}
        differs = np.any([table[name].to_numpy() != alone[name] for name in EXACT], axis=0)
        end = int(np.argmax(differs)) if differs.any() else steps
        parted += end < steps
        rates = table["train/lr"].to_numpy()[:end]
        sweep_exit_code = max(sweep_exit_code, float(np.max(np.abs(rates / alone["train/lr"][:end] - 1), initial=0.0)))
    return parted, sweep_exit_code


def _keep(rows: dict[str, list[float]], columns: object) -> None:
    for name, values in rows.items():
        values.append(float(columns[name]))  # type: ignore[index]


def main(words: Sequence[str] | None = None) -> int:
    """Print both counts; exit 1 where a run's bytes depend on its neighbours or arms differ in more than 1 in 100."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--steps", type=int, default=1_000)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        parted, sweep_exit_code = different_arms(Path(name), asked.runs, asked.steps)
        print(
            f"{asked.runs} runs of {asked.steps} steps beside the run alone: {parted} ever differ in an arm; "
            f"until then rates agree to {sweep_exit_code:.1e}",
            flush=True,
        )
        compared, different = same_bytes(Path(name), asked.steps // 10)
        print(f"{compared} runs in two orders and three sizes of sweep: {different} differ in a byte")
    return int(different > 0 or parted > asked.runs / 100)


if __name__ == "__main__":
    sys.exit(main())
