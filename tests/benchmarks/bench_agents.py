"""Environment steps a second of whole trainings: ours alone and stacked, Stable-Baselines3's, a plain loop's, in turns.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_agents.py        # needs pip install -c constraints.txt -e '.[sb3]'

Rows and hyperparameters are those of experiments/parity (rl-zoo3's); "ppo 4x128" has four environments, 128 steps, four
epochs of four minibatches, as in CleanRL. The plain loop is ``plain_ppo.py``, in CleanRL's manner. One thread, one
process, which keeps its memory as ours do; steps by processor time, evaluation left out; the medians of the rounds in
which all take turns. ``--rounds`` says how many, ``--only`` which rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
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
STEPS_STACKED = {"ppo 4x128": 8_192, "ppo-cartpole": 4_096, "a2c-cartpole": 8_000}
STACKED = (32, 96)
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


def contenders(name: str) -> dict[str, Callable[[], int]]:
    """Return a row's columns; the first is what the others are compared with."""
    steps = STEPS_ALONE[name]
    found: dict[str, Callable[[], int]] = {"alone": lambda: ours(name, 1, steps), SB3: lambda: theirs(name, steps)}
    if name in PLAIN:
        found["plain loop"] = lambda: plain_ppo.learn(PLAIN[name], steps)[0]
    if name in STEPS_STACKED:
        for runs in STACKED:
            found[f"{runs} stacked"] = lambda runs=runs: ours(name, runs, STEPS_STACKED[name])  # type: ignore[misc]
    return found


def per_second(work: Callable[[], int]) -> float:
    start = time.process_time()
    steps = work()
    return steps / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="Environment steps a second of whole trainings.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=STEPS_ALONE, default=list(STEPS_ALONE))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    work = {(name, column): f for name in arguments.only for column, f in contenders(name).items()}
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in work}
    for _ in range(arguments.rounds):
        for key, f in work.items():
            rates[key].append(per_second(f))
    for (name, column), found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates[name, "alone"], strict=True))
        print(f"{name:14} {column:18} {statistics.median(found):>9,.0f} steps a second  {ratio:5.2f} of one alone")


if __name__ == "__main__":
    main()
