"""Law: once the last bits have parted a batch from the run alone, both still learn equally well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rasched.agents import AGENTS
from rasched.envs import GymSettings
from rasched.rules import NoRule
from rasched.train.settings import RunSettings
from tests.run_factories import run_settings, train_runs

SEEDS = 20
CRITICAL = 1.63 * (2 / SEEDS) ** 0.5  # of the two-sample Kolmogorov-Smirnov statistic, at a level of 1 %
AGENT: dict[str, dict[str, Any]] = {
    "reinforce": {"hidden": [32]},
    "a2c": {"hidden": [32, 32]},
    "ppo": {"hidden": [32, 32], "n_steps": 64, "batch_size": 64, "n_epochs": 4},
    "dqn": {"hidden": [32, 32], "batch_size": 32, "train_freq": 8, "exploration_steps": 1000, "buffer_size": 2000},
}


def settings(agent: str, lr: float) -> list[RunSettings]:
    made = AGENTS.build({"name": agent, **AGENT[agent]})
    env = GymSettings(id="CartPole-v1", num_envs=1)
    return [
        run_settings(seed, NoRule(), env=env, agent=made, optimizer="adam", lr=lr, steps=2048) for seed in range(SEEDS)
    ]


def last_returns(batches: list[list[RunSettings]]) -> np.ndarray[Any, Any]:
    """Return each run's mean return over the second half of its steps, shape (runs,)."""
    found = []
    for runs in batches:
        rows: list[np.ndarray[Any, Any]] = []

        def record(step: int, columns: Any, rows: Any = rows, count: int = len(runs)) -> None:
            if step > 1024 and "charts/episodic_return" in columns:
                rows.append(np.broadcast_to(np.asarray(columns["charts/episodic_return"], float), (count,)).copy())

        train_runs(runs, record)
        found.append(np.nanmean(np.stack(rows), axis=0))
    return np.concatenate(found)


def distance(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """Return the Kolmogorov-Smirnov statistic of two samples."""
    at = np.concatenate([one, other])
    shares = [(sample[:, None] <= at).mean(0) for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.mark.slow
@pytest.mark.parametrize("agent", sorted(AGENT))
def test_runs_in_a_batch_learn_as_well_as_alone(agent: str) -> None:
    runs = settings(agent, 3e-3)
    alone = last_returns([[run] for run in runs])
    assert distance(alone, last_returns([runs])) < CRITICAL


@pytest.mark.slow
def test_the_comparison_tells_learners_from_idlers() -> None:
    assert distance(last_returns([settings("ppo", 3e-3)]), last_returns([settings("ppo", 1e-8)])) > CRITICAL
