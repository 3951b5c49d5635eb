"""What each rule does to the learning rate under rewards that say nothing about learning.

``python experiments/folklore/measure.py`` writes ``results.csv`` beside this file, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from rasched.rules import RULES, Rule
from rasched.rules.batch import RuleBatch
from rasched.rules.signal import RewardSignal
from rasched.stacking import stack

NUM_SEEDS, NUM_CALLS = 256, 1_000
RULE_NAMES = ("kelly", "trend", "scaling", "variance", "plateau", "greedy", "search_hold")
SIGNALS = {
    "raw": RewardSignal(),
    "smoothed": RewardSignal(None, 0.02, 0.9),
    "standardized": RewardSignal("standardize", 0.02, None),
    "both": RewardSignal("standardize", 0.02, 0.9),
}
Numbers = NDArray[np.float64]
REWARDS: dict[str, Callable[[np.random.Generator, int], Numbers]] = {
    "noise, mean 0": lambda rng, t: rng.normal(size=NUM_SEEDS),
    "noise, mean +1": lambda rng, t: 1.0 + rng.normal(size=NUM_SEEDS),
    "noise, mean -1": lambda rng, t: -1.0 + rng.normal(size=NUM_SEEDS),
    "noise in [0, 1]": lambda rng, t: rng.uniform(size=NUM_SEEDS),
    "0 or 1, even": lambda rng, t: (rng.uniform(size=NUM_SEEDS) < 0.5).astype(np.float64),
    "constant 1": lambda rng, t: np.ones(NUM_SEEDS),
    "sparse, 1 in 50": lambda rng, t: (rng.uniform(size=NUM_SEEDS) < 0.02).astype(np.float64),
    "growing, 0 to 10": lambda rng, t: 10.0 * t / NUM_CALLS + rng.normal(size=NUM_SEEDS),
}


def log_rates(rule: Rule, signal: RewardSignal, rewards: Iterator[Numbers]) -> Numbers:
    """Return the log of the rate by the base rate after all rewards, ``(NUM_SEEDS,)``; bounds are the defaults."""
    rules, signals = RuleBatch([rule] * NUM_SEEDS), stack([signal] * NUM_SEEDS)
    base = torch.ones(NUM_SEEDS, dtype=torch.float64)
    lr = rules.initial_lr(base)
    for reward in rewards:
        rules.observe(torch.as_tensor(signals.observe(torch.from_numpy(reward))))
        lr = rules.next_lr(lr, base).clamp(0.01, 100.0)
    values: Numbers = lr.log().numpy()
    return values


def to_markdown(table: pl.DataFrame, signal: str) -> str:
    """Return the drift of the log rate, plus or minus its spread over seeds, as a table of rewards by rules."""
    of_signal = table.filter(pl.col("signal") == signal)
    lines = [f"| rewards | {' | '.join(RULE_NAMES)} |", "| --- " * (len(RULE_NAMES) + 1) + "|"]
    for kind in REWARDS:
        rows = {row["rule"]: row for row in of_signal.filter(pl.col("rewards") == kind).iter_rows(named=True)}
        cells = [f"{rows[name]['mean_log_lr'] + 0.0:+.1f} ± {rows[name]['std_log_lr']:.1f}" for name in RULE_NAMES]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write ``results.csv``: one row per rule, signal and kind of rewards."""
    rows = []
    for name in RULE_NAMES:
        for signal_name, signal in SIGNALS.items():
            for kind, reward_of in REWARDS.items():
                rng = np.random.default_rng(0)
                rewards = (reward_of(rng, t) for t in range(NUM_CALLS))
                values = log_rates(RULES.get(name)(), signal, rewards)
                at_bound = np.abs(values) > log(100.0) - 1e-9
                rows.append((name, signal_name, kind, values.mean(), values.std(), at_bound.mean()))
    columns = ["rule", "signal", "rewards", "mean_log_lr", "std_log_lr", "at_bound"]
    table = pl.DataFrame(rows, schema=columns, orient="row")
    table.write_csv(Path(__file__).with_name("results.csv"), float_precision=3)
    for signal_name in SIGNALS:
        print(f"\n{signal_name}\n\n{to_markdown(table, signal_name)}")


if __name__ == "__main__":
    main()
