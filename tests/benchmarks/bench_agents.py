"""Measure environment steps per second of whole trainings, in turns with Stable-Baselines3 and a plain loop.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_agents.py        # needs pip install -c constraints.txt -e '.[sb3]'

Rows and hyperparameters are those of experiments/parity (rl-zoo3's). "ppo 4x128" has four environments, 128 steps, four
epochs of four minibatches, as in CleanRL. The plain loop is ``plain_ppo.py``, in CleanRL's style. Everything runs on
one thread of one process. Times are processor time without evaluation, and results are medians over rounds in which all
take turns. ``--rounds`` is the number of rounds and ``--only`` selects rows. ``--before CHECKOUT`` lets the checkout of
an earlier commit take turns in a process of its own: compare ratios, because a busy machine changes its speed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from rasched.runner.process_setup import import_torch

import_torch()

import torch  # noqa: E402  (behind what counts only until it is imported)

PARITY = Path(__file__).parents[2] / "experiments" / "parity"
sys.path[:0] = [str(PARITY), str(Path(__file__).parent)]

import plain_ppo  # noqa: E402  (found by the path above)
import record_ours  # noqa: E402
import record_sb3  # noqa: E402

from rasched.agents import PPOSettings  # noqa: E402
from rasched.envs import GymSettings  # noqa: E402
from rasched.train.loop import train  # noqa: E402
from rasched.train.settings import EvaluationSettings, RunSettings, SignalSettings  # noqa: E402

STEPS_ALONE = {
    "ppo-cartpole": 32_768, "ppo 4x128": 32_768, "a2c-cartpole": 40_000, "dqn-cartpole": 16_384, "ppo-acrobot": 32_768,
}  # fmt: skip
STEPS_IN_BATCH = {"ppo 4x128": 8_192, "ppo-cartpole": 4_096, "a2c-cartpole": 8_000}
BATCH_SIZES = (32, 96)
SERVER = """
import json, sys
sys.path.insert(0, "tests/benchmarks")
import bench_agents
for line in sys.stdin:
    print(bench_agents.per_second(lambda: bench_agents.ours(*json.loads(line))), flush=True)
"""
SB3 = "Stable-Baselines3"
THEIRS = {
    **record_sb3.ROWS,
    "ppo 4x128": replace(
        record_sb3.ROWS["ppo-cartpole"],
        num_envs=4,
        settings={"n_steps": 128, "batch_size": 128, "n_epochs": 4, "ent_coef": 0.01, "learning_rate": 1e-3},
    ),
}
PLAIN = {
    "ppo 4x128": plain_ppo.Settings(learning_rate=1e-3),
    "ppo-cartpole": plain_ppo.Settings(
        num_envs=8, num_steps=32, num_minibatches=1, update_epochs=20, learning_rate=1e-3, gamma=0.98, gae_lambda=0.8,
        ent_coef=0.0,
    ),
}  # fmt: skip


def ours(name: str, runs: int, steps: int) -> int:
    rows = json.loads((PARITY / "sb3.json").read_text())["rows"]

    def run(seed: int) -> RunSettings:
        plain = {"eval": EvaluationSettings(), "steps": steps, "signal": SignalSettings(every="step")}
        if name != "ppo 4x128":
            return replace(record_ours.run_of(rows[name], seed), **plain)
        agent = PPOSettings(n_steps=128, batch_size=128, n_epochs=4, ent_coef=0.01)
        env = GymSettings(id="CartPole-v1", num_envs=4)
        return replace(record_ours.run_of(rows["ppo-cartpole"], seed), agent=agent, env=env, **plain)

    return runs * max(result.steps for result in train([run(s) for s in range(runs)]))


def theirs(name: str, steps: int) -> int:
    model = record_sb3.make(THEIRS[name], 0)
    model.learn(steps)
    return int(model.num_timesteps)


class Checkout:
    """Another checkout of this repository, which trains in a process of its own."""

    def __init__(self, root: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(root)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER], cwd=root, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def per_second(self, name: str, runs: int, steps: int) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([name, runs, steps]), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def contenders(name: str, before: Checkout | None) -> dict[str, Callable[[], float]]:
    """Return the measurement of each column of a row; the first is what the others are compared with."""
    steps = STEPS_ALONE[name]
    sizes = {1: steps} | ({runs: STEPS_IN_BATCH[name] for runs in BATCH_SIZES} if name in STEPS_IN_BATCH else {})
    columns: dict[str, Callable[[], float]] = {}
    for runs, batch_steps in sizes.items():
        label = "alone" if runs == 1 else f"{runs} in a batch"
        columns[label] = partial(per_second, partial(ours, name, runs, batch_steps))
        if before is not None:
            columns[f"{label}, before"] = partial(before.per_second, name, runs, batch_steps)
    columns[SB3] = partial(per_second, partial(theirs, name, steps))
    if name in PLAIN:
        columns["plain loop"] = partial(per_second, lambda: plain_ppo.learn(PLAIN[name], steps)[0])
    return columns


def per_second(work: Callable[[], int]) -> float:
    start = time.process_time()
    steps = work()
    return steps / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="Environment steps per second of whole trainings.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=STEPS_ALONE, default=list(STEPS_ALONE))
    parser.add_argument("--before", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    before = None if arguments.before is None else Checkout(arguments.before.resolve())
    work = {(name, label): f for name in arguments.only for label, f in contenders(name, before).items()}
    speeds: dict[tuple[str, str], list[float]] = {key: [] for key in work}
    for _ in range(arguments.rounds):
        for key, measure in work.items():
            speeds[key].append(measure())
    for (name, label), values in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(values, speeds[name, "alone"], strict=True))
        print(f"{name:14} {label:22} {statistics.median(values):>9,.0f} steps per second  {ratio:5.2f} of one alone")


if __name__ == "__main__":
    main()
