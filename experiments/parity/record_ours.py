"""Record the learning curves of this package's agents, to lie beside those of Stable-Baselines3.

    OMP_NUM_THREADS=1 python experiments/parity/record_ours.py

Rows, hyperparameters, seeds, steps and evaluation are those of ``record_sb3.py``, read from what it wrote into
``sb3.json``; ``ours.csv`` has its columns. PPO and A2C on CartPole train all seeds in one batch, as a sweep does; the
other rows one run after another, so that both ways through the loop are measured. Curves are evaluated after the update
that passes a mark. A batch or run is appended whole; those that are in the file already are left alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rasched.agents import A2CSettings, Agent, AgentSettings, DQNSettings, PPOSettings
from rasched.envs import GymSettings
from rasched.rules import NoRule
from rasched.train import loop
from rasched.train.callbacks import Callback
from rasched.train.evaluation import Evaluator
from rasched.train.optimizers import OptimizerSettings
from rasched.train.settings import EvaluationSettings, RunSettings, SchedulerSettings, SignalSettings

HERE = Path(__file__).parent
POINTS, EPISODES, FINAL = 25, 20, 5  # the last point is five evaluations: 100 episodes
STACKED = ("ppo-cartpole", "a2c-cartpole")
COLUMNS = ("row", "algorithm", "env", "seed", "step", "eval_return_mean", "eval_episodes")
# What an agent here is told, in the words of Stable-Baselines3; the rest of the settings are called the same.
SHARED = ("gamma", "max_grad_norm")
ON_POLICY = (*SHARED, "n_steps", "gae_lambda", "ent_coef", "vf_coef", "normalize_advantage")
OF_PPO = (*ON_POLICY, "batch_size", "n_epochs", "clip_range", "clip_range_vf", "target_kl")
OF_DQN = (
    *SHARED, "batch_size", "buffer_size", "learning_starts", "train_freq", "gradient_steps", "target_update_interval",
    "tau", "exploration_initial_eps", "exploration_final_eps",
)  # fmt: skip


def agent_of(row: Mapping[str, Any]) -> AgentSettings:
    """Return the agent with the hyperparameters of a row of ``sb3.json``."""
    said = row["all"]
    if row["algorithm"] == "DQN":
        falling = round(said["exploration_fraction"] * row["steps"])
        hidden = tuple(said["policy_kwargs"]["net_arch"])
        return DQNSettings(**{name: said[name] for name in OF_DQN}, exploration_steps=falling, hidden=hidden)
    if row["algorithm"] == "A2C":
        return A2CSettings(**{name: said[name] for name in ON_POLICY})
    return PPOSettings(**{name: said[name] for name in OF_PPO})


def run_of(row: Mapping[str, Any], seed: int) -> RunSettings:
    """Return one run: no rule, so that the rate stays where it is."""
    normalize = row["normalize"] or {}
    optimizer = dict(row["optimizer"])
    name, lr = optimizer.pop("class"), optimizer.pop("lr")
    options = {key: optimizer[key] for key in ("betas", "alpha", "eps", "weight_decay") if key in optimizer}
    return RunSettings(
        rule=NoRule(),
        signal=SignalSettings(every="update"),
        scheduler=SchedulerSettings(),
        env=GymSettings(
            id=row["env"],
            num_envs=row["num_envs"],
            normalize_observation=bool(normalize.get("norm_obs")),
            normalize_reward=bool(normalize.get("norm_reward")),
            gamma=normalize.get("gamma", 0.99),
        ),
        agent=agent_of(row),
        optimizer=OptimizerSettings(name=name, lr=lr, options=options),
        eval=EvaluationSettings(every=row["steps"] // POINTS, episodes=EPISODES),
        steps=row["steps"],
        seed=seed,
    )


@dataclass(frozen=True, kw_only=True)
class Kept(AgentSettings):
    """An agent that stays at hand when its training is over, to be evaluated in more episodes."""

    inner: AgentSettings
    parts: dict[str, Any] = field(default_factory=dict)

    def make(self, world: Any, seeds: Sequence[int]) -> Agent:
        agent = self.inner.make(world, seeds)
        evaluator = Evaluator(EvaluationSettings(every=1, episodes=EPISODES), world)
        evaluator.num_evaluations = 1000  # starts of its own, beside those of the curve's evaluations
        self.parts.update(agent=agent, evaluator=evaluator, first=evaluator.evaluate(agent, 0))
        return agent

    def final(self) -> Tensor:
        """Return each run's mean over the last point's episodes."""
        evaluator: Evaluator = self.parts["evaluator"]
        return torch.stack([evaluator.evaluate(self.parts["agent"], 0) for _ in range(FINAL)]).mean(0)


def train(row: Mapping[str, Any], seeds: list[int]) -> list[tuple[int, int, float, int]]:
    """Train runs together; return seed, step, mean return and episodes of each point."""
    points: list[tuple[int, int, float, int]] = []

    def take(step: int, returns: Any, episodes: int) -> None:
        each = torch.as_tensor(returns, dtype=torch.float64).reshape(-1)[: len(seeds)].tolist()  # without the fillers
        points.extend((seed, step, value, episodes) for seed, value in zip(seeds, each, strict=True))

    class TakeEvaluations(Callback):
        def on_row(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
            returns = torch.as_tensor(columns.get("eval/return", torch.nan))
            if not returns.isnan().any():
                take(step, returns, EPISODES)

    kept = Kept(inner=agent_of(row))
    results = tuple(loop.train([replace(run_of(row, seed), agent=kept) for seed in seeds], TakeEvaluations()))
    assert not any(result.error for result in results), results
    take(0, kept.parts["first"], EPISODES)
    del points[-2 * len(seeds) : -len(seeds)]  # the curve's own last point, of fewer episodes
    with loop.one_thread():
        take(results[0].steps, kept.final(), EPISODES * FINAL)
    return points


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", nargs="*", help="rows of sb3.json; all, if none is named")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=HERE / "ours.csv")
    arguments = parser.parse_args()
    rows = json.loads((HERE / "sb3.json").read_text())["rows"]
    done: set[tuple[str, str]] = set()
    if arguments.out.exists():
        with arguments.out.open(newline="") as file:
            done = {(line["row"], line["seed"]) for line in csv.DictReader(file)}
    for name in arguments.rows or rows:
        row = rows[name]
        missing = [seed for seed in range(arguments.seeds) if (name, str(seed)) not in done]
        for seeds in ([missing] if missing else []) if name in STACKED else [[seed] for seed in missing]:
            cpu, wall = time.process_time(), time.perf_counter()
            points = train(row, seeds)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            final = [value for _, _, value, episodes in points if episodes > EPISODES]
            print(f"{name} seeds {seeds}: final {np.round(final, 1)}, {cpu:.0f} CPU s, {wall:.0f} s", flush=True)
            with arguments.out.open("a", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                if file.tell() == 0:
                    writer.writerow(COLUMNS)
                for seed, step, value, episodes in sorted(points):
                    writer.writerow([name, row["algorithm"], row["env"], seed, step, value, episodes])


if __name__ == "__main__":
    main()
