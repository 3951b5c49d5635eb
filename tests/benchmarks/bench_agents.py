"""Environment steps a second of whole trainings: ours alone and stacked, beside Stable-Baselines3, in turns.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_agents.py        # needs pip install -c constraints.txt -e '.[sb3]'

Rows and hyperparameters are those of experiments/parity (rl-zoo3's); "ppo 4x128" has four environments, 128 steps, four
epochs of four minibatches, as in CleanRL. One thread, one process, steps by processor time, evaluation left out; the
medians of three rounds in which all take turns.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

PARITY = Path(__file__).parents[2] / "experiments" / "parity"
sys.path.insert(0, str(PARITY))

import record_ours  # noqa: E402  (found by the path above)
import record_sb3  # noqa: E402

from rasched.agents import PPO  # noqa: E402
from rasched.envs.gym import GymEnv  # noqa: E402
from rasched.train.loop import train  # noqa: E402
from rasched.train.settings import EvaluationSettings, RunSettings, SignalSettings  # noqa: E402

ROUNDS = 3
STEPS_OF_ROWS = {"ppo-cartpole": 32_768, "a2c-cartpole": 40_000, "dqn-cartpole": 8_192, "ppo-acrobot": 32_768}
STACKED = (1, 32, 96)


def ours(name: str, runs: int, steps: int) -> int:
    rows = json.loads((PARITY / "sb3.json").read_text())["rows"]

    def run(seed: int) -> RunSettings:
        plain = {"eval": EvaluationSettings(), "steps": steps, "signal": SignalSettings(every="step")}
        if name != "ppo 4x128":
            return replace(record_ours.run_of(rows[name], seed), **plain)
        agent = PPO(n_steps=128, batch_size=128, n_epochs=4, ent_coef=0.01)
        env = GymEnv(id="CartPole-v1", copies=4)
        return replace(record_ours.run_of(rows["ppo-cartpole"], seed), agent=agent, env=env, **plain)

    return runs * max(ending.steps for ending in train([run(s) for s in range(runs)], lambda step, columns: None))


def theirs(name: str, steps: int) -> int:
    model = record_sb3.make(record_sb3.ROWS[name], 0)
    model.learn(steps)
    return int(model.num_timesteps)


def per_second(work: Callable[[], int]) -> float:
    start = time.process_time()
    steps = work()
    return steps / (time.process_time() - start)


def main() -> None:
    torch.set_num_threads(1)
    contenders: dict[tuple[str, str], Callable[[], int]] = {}
    for name, steps in STEPS_OF_ROWS.items():
        contenders[name, "Stable-Baselines3"] = lambda name=name, steps=steps: theirs(name, steps)
        contenders[name, "alone"] = lambda name=name, steps=steps: ours(name, 1, steps)
    for name, steps in {"ppo 4x128": 8_192, "ppo-cartpole": 4_096, "a2c-cartpole": 8_000}.items():
        for runs in STACKED:
            contenders[name, f"{runs} stacked"] = lambda name=name, runs=runs, steps=steps: ours(name, runs, steps)
    found: dict[tuple[str, str], list[float]] = {key: [] for key in contenders}
    for _ in range(ROUNDS):
        for key, work in contenders.items():
            found[key].append(per_second(work))
    for key, rates in found.items():
        base: Any = found.get((key[0], "Stable-Baselines3" if "alone" in key[1] else "1 stacked"))
        ratio = f"{statistics.median(a / b for a, b in zip(rates, base, strict=True)):.1f}x" if base else ""
        print(f"{key[0]:14} {key[1]:18} {statistics.median(rates):>9,.0f} steps a second  {ratio}")


if __name__ == "__main__":
    main()
