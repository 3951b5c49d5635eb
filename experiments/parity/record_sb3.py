"""Record the learning curves of Stable-Baselines3 that this package's agents are measured against.

    OMP_NUM_THREADS=1 python experiments/parity/record_sb3.py

Every row of ``ROWS`` trains with the hyperparameters that rl-zoo3 publishes
(https://github.com/DLR-RM/rl-baselines3-zoo, ``hyperparams/{ppo,a2c,dqn}.yml``), save three differences that a
comparison of learning-rate rules needs: learning rate and clip range stay at the zoo's initial value for the whole
run, Pendulum explores with a plain Gaussian (gSDE off), and Acrobot stops after 300,000 of the zoo's 1,000,000 steps.

``sb3.csv`` gets one line a point: 26 a run, at step 0, at 1/25, 2/25, ... of the steps (20 episodes each) and after the
last update (100 episodes). ``sb3.json`` holds versions and every setting, defaults included. A run is appended
whole, so the recording may be stopped at any time and goes on with the runs that are missing.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import inspect
import json
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

POINTS = 25
EPISODES, FINAL_EPISODES = 20, 100
# All rows get three seeds before any gets a fourth: an interrupted recording is a smaller study, not half a one.
BATCHES = ((0, 1, 2), (3, 4, 5), (6, 7, 8, 9))
COLUMNS = (
    "row", "algorithm", "env", "seed", "step",
    "eval_return_mean", "train_return_mean", "eval_episodes", "train_episodes",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is trained: the zoo's entry; what it leaves out is Stable-Baselines3's default."""

    algorithm: type[BaseAlgorithm]
    env: str
    steps: int
    zoo: str  # what the entry says where this row differs from it
    num_envs: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    normalize: dict[str, Any] | None = None  # VecNormalize's arguments


ROWS = {
    "ppo-cartpole": Row(
        algorithm=PPO, env="CartPole-v1", steps=100_000, num_envs=8,
        zoo="learning_rate: lin_0.001, clip_range: lin_0.2; held constant here",
        settings=dict(n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, ent_coef=0.0,
                      learning_rate=1e-3, clip_range=0.2),
    ),
    "a2c-cartpole": Row(
        algorithm=A2C, env="CartPole-v1", steps=500_000, num_envs=8, zoo="the same", settings=dict(ent_coef=0.0),
    ),
    "dqn-cartpole": Row(
        algorithm=DQN, env="CartPole-v1", steps=50_000, zoo="the same",
        settings=dict(learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1000, gamma=0.99,
                      target_update_interval=10, train_freq=256, gradient_steps=128, exploration_fraction=0.16,
                      exploration_final_eps=0.04, policy_kwargs=dict(net_arch=[256, 256])),
    ),
    "ppo-acrobot": Row(
        algorithm=PPO, env="Acrobot-v1", steps=300_000, num_envs=16, zoo="n_timesteps: 1e6; stops at 3e5 here",
        settings=dict(n_steps=256, gae_lambda=0.94, gamma=0.99, n_epochs=4, ent_coef=0.0),
        normalize=dict(norm_obs=True, norm_reward=True, clip_obs=10.0, clip_reward=10.0, gamma=0.99, epsilon=1e-8),
    ),
    "ppo-pendulum": Row(
        algorithm=PPO, env="Pendulum-v1", steps=100_000, num_envs=4,
        zoo="use_sde: True, sde_sample_freq: 4; no gSDE here",
        settings=dict(n_steps=1024, gae_lambda=0.95, gamma=0.9, n_epochs=10, ent_coef=0.0, learning_rate=1e-3,
                      clip_range=0.2, use_sde=False),
    ),
}  # fmt: skip


def make(row: Row, seed: int) -> BaseAlgorithm:
    """Build the untrained algorithm; ``seed`` seeds its environments, networks and sampling."""
    env: VecEnv = make_vec_env(row.env, n_envs=row.num_envs, seed=seed)
    if row.normalize is not None:
        env = VecNormalize(env, **row.normalize)
    return row.algorithm("MlpPolicy", env, seed=seed, device="cpu", **row.settings)


class Evaluator:
    """Undiscounted, unnormalised returns of the deterministic policy on environments of its own.

    Each environment plays one episode a call: with n environments that restart, the first n episodes to end are
    the short ones. Nothing here draws from the generators that training uses, so that a run is the same however
    often it is evaluated.
    """

    def __init__(self, row: Row, seed: int) -> None:
        self.envs = [gymnasium.make(row.env) for _ in range(EPISODES)]
        self.seeds = np.random.SeedSequence([seed, 20_240])  # apart from training's, which counts up from the seed

    def returns(self, model: BaseAlgorithm) -> np.ndarray:
        """Return the ``(EPISODES,)`` returns of fresh episodes; no two calls start from the same states."""
        seeds = self.seeds.spawn(1)[0].generate_state(len(self.envs))
        observations = [env.reset(seed=int(seed))[0] for env, seed in zip(self.envs, seeds, strict=True)]
        returns, playing = np.zeros(len(self.envs)), list(range(len(self.envs)))
        normalize = model.get_vec_normalize_env()
        while playing:
            batch = np.stack([observations[i] for i in playing])
            # Normalised by the statistics of training so far, which stay as they are.
            seen = batch if normalize is None else normalize.normalize_obs(batch)
            actions, _ = model.predict(seen, deterministic=True)
            ended = set()
            for i, action in zip(playing, actions, strict=True):
                observations[i], reward, terminated, truncated, _ = self.envs[i].step(action)
                returns[i] += float(reward)
                if terminated or truncated:
                    ended.add(i)
            playing = [i for i in playing if i not in ended]
        return returns


class Curve(BaseCallback):
    """The points of one run. A point within a rollout sees the policy that collects it, before its update."""

    def __init__(self, evaluation: Evaluator, steps: int) -> None:
        super().__init__()
        self.evaluation = evaluation
        self.marks = [steps * k / POINTS for k in range(1, POINTS)]
        self.points: list[dict[str, Any]] = []
        self.finished: list[float] = []
        self.cpu_seconds = 0.0  # spent here and not in training

    def _on_training_start(self) -> None:
        self.add(EPISODES)

    def _on_step(self) -> bool:
        self.finished += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        if self.marks and self.num_timesteps >= self.marks[0]:
            self.marks.pop(0)
            self.add(EPISODES)
        return True

    def add(self, episodes: int) -> None:
        """Evaluate now, and close the window of training episodes."""
        start = time.process_time()
        returns = [self.evaluation.returns(self.model) for _ in range(episodes // EPISODES)]
        self.points.append({
            "step": self.model.num_timesteps,
            "eval_return_mean": float(np.mean(returns)),
            "train_return_mean": float(np.mean(self.finished)) if self.finished else "",
            "eval_episodes": episodes,
            "train_episodes": len(self.finished),
        })  # fmt: skip
        self.finished = []
        self.cpu_seconds += time.process_time() - start


def train(name: str, row: Row, seed: int) -> list[dict[str, Any]]:
    """Train one run; return its lines."""
    model = make(row, seed)
    curve = Curve(Evaluator(row, seed), row.steps)
    cpu, wall = time.process_time(), time.perf_counter()
    model.learn(row.steps, callback=curve)
    cpu, wall = time.process_time() - cpu - curve.cpu_seconds, time.perf_counter() - wall
    curve.add(FINAL_EPISODES)
    print(
        f"{name} seed {seed}: final return {curve.points[-1]['eval_return_mean']:.1f}, "
        f"{model.num_timesteps / cpu:.0f} steps a CPU second, {wall:.0f} s with evaluation",
        flush=True,
    )
    whose = {"row": name, "algorithm": row.algorithm.__name__, "env": row.env, "seed": seed}
    return [whose | point for point in curve.points]


def settings(row: Row) -> dict[str, Any]:
    """Return all that decides a run of this row, defaults included."""
    model = make(row, 0)
    not_ours = {"self", "policy", "env", "tensorboard_log", "verbose", "seed", "device", "stats_window_size"}
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(row.algorithm.__init__).parameters.items()
        if key not in not_ours and not key.startswith("_")
    }
    optimizer = model.policy.optimizer
    return {
        "algorithm": row.algorithm.__name__,
        "env": row.env,
        "steps": row.steps,
        "num_envs": row.num_envs,
        "difference_from_zoo": row.zoo,
        "from_zoo_or_stated": row.settings,
        "all": defaults | row.settings,
        "normalize": row.normalize,
        "optimizer": {"class": type(optimizer).__name__} | optimizer.defaults,
        "networks": str(model.policy),
        "weights": sum(p.numel() for p in model.policy.parameters()),
    }


def header(rows: dict[str, Row]) -> dict[str, Any]:
    """Return what ``sb3.json`` holds."""
    return {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "stable_baselines3": stable_baselines3.__version__,
            "gymnasium": gymnasium.__version__,
            "numpy": np.__version__,
        },
        "threads": torch.get_num_threads(),
        "evaluation": {
            "policy": "deterministic",
            "returns": "undiscounted, unnormalised",
            "points": f"step 0 and every 1/{POINTS} of the steps, before the update that the rollout feeds",
            "episodes": EPISODES,
            "final_episodes": FINAL_EPISODES,
            "observation_statistics": "of training so far, frozen while evaluating",
        },
        "rows": {name: settings(row) for name, row in rows.items()},
    }


def check_header(path: Path, now: dict[str, Any], command: str) -> None:
    """Write the header, or refuse to add runs to a file that was recorded with other versions or settings."""
    now = json.loads(json.dumps(now, default=str))
    if path.exists():
        before = json.loads(path.read_text())
        differ = [key for key in now if before.get(key) != now[key]]
        if differ:
            raise SystemExit(f"{path} was recorded with other {', '.join(differ)}; give another --out, or delete it")
        return
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    path.write_text(json.dumps({"date": date, "command": command} | now, indent=2) + "\n")


def missing(path: Path, rows: dict[str, Row], seeds: int) -> Iterator[tuple[str, Row, int]]:
    """Yield the runs that ``path`` does not hold, three seeds of every row first."""
    done: set[tuple[str, int]] = set()
    if path.exists():
        with path.open(newline="") as file:
            done = {(line["row"], int(line["seed"])) for line in csv.DictReader(file)}
    for batch in BATCHES:
        for name, row in rows.items():
            yield from ((name, row, seed) for seed in batch if seed < seeds and (name, seed) not in done)


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of sb3.csv and sb3.json")
    parser.add_argument("--seeds", type=int, default=10, help="runs a row, at most 10")
    parser.add_argument("--shorten", type=int, default=1, help="divide every row's steps by this: a look, no reference")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = {name: replace(row, steps=row.steps // arguments.shorten) for name, row in ROWS.items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    command = " ".join(["OMP_NUM_THREADS=1 python experiments/parity/record_sb3.py", *sys.argv[1:]])
    check_header(arguments.out / "sb3.json", header(rows), command)
    curves = arguments.out / "sb3.csv"
    for name, row, seed in missing(curves, rows, arguments.seeds):
        lines = train(name, row, seed)
        with curves.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(lines)


if __name__ == "__main__":
    main()
