"""A run is the same in any batch, alone but for rounding, and after a resume; and agents learn."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from rasched.agents import A2CSettings, AgentSettings, DQNSettings, PPOSettings, ReinforceSettings
from rasched.envs import ContextualBanditSettings, EnvSettings
from rasched.rules import NoRule
from tests.agents.toy_envs import CartPoleSettings, PointSettings
from tests.run_factories import columns_of, run_settings

QUICK_PPO: dict[str, Any] = {"n_steps": 16, "batch_size": 24, "n_epochs": 3}
QUICK_DQN: dict[str, Any] = {
    "learning_starts": 64, "train_freq": 8, "gradient_steps": 4, "target_update_interval": 50,
    "exploration_steps": 300, "buffer_size": 300,
}  # fmt: skip
CASES: dict[str, tuple[AgentSettings, EnvSettings, str]] = {
    "ppo": (PPOSettings(**QUICK_PPO), CartPoleSettings(num_envs=3), "adam"),
    "ppo-whole": (PPOSettings(n_steps=16, batch_size=64, n_epochs=3), CartPoleSettings(num_envs=4), "adam"),
    # not Adam: in a batch its bias correction counts the steps that a resting run does not take
    "ppo-every-option": (
        PPOSettings(**QUICK_PPO, ent_coef=0.01, clip_range_vf=0.2, target_kl=0.003),
        CartPoleSettings(num_envs=4), "rmsprop",
    ),
    "ppo-continuous": (PPOSettings(**QUICK_PPO), PointSettings(num_envs=4), "adam"),
    "a2c": (A2CSettings(), CartPoleSettings(num_envs=4), "rmsprop"),
    "a2c-continuous": (A2CSettings(ent_coef=0.01), PointSettings(num_envs=2), "sgd"),
    "reinforce": (ReinforceSettings(n_steps=40), CartPoleSettings(num_envs=4), "adam"),
    "contextual": (ReinforceSettings(), ContextualBanditSettings(num_envs=3), "sgd"),
    "dqn": (DQNSettings(**QUICK_DQN), CartPoleSettings(num_envs=1), "adam"),
    "dqn-double": (
        DQNSettings(**QUICK_DQN, double_q=True, tau=0.5, hidden=(128,)), CartPoleSettings(num_envs=2), "rmsprop",
    ),
}  # fmt: skip


def run_of(case: str, seed: int) -> Any:
    agent, env, optimizer = CASES[case]
    lr = 1e-3 * (1 + seed % 3)
    return run_settings(seed, NoRule(), agent=agent, env=env, optimizer=optimizer, lr=lr, steps=400)


def is_same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.nan_to_num(-1e9), other.nan_to_num(-1e9))


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_bit_for_bit_the_same_whatever_its_neighbours_and_slot(case: str) -> None:
    few = columns_of([run_of(case, seed) for seed in range(5)])
    seeds = list(range(40))
    random.Random(1).shuffle(seeds)
    many = columns_of([run_of(case, seed) for seed in seeds])
    places = torch.tensor(seeds).argsort()[:5]
    for name, values in few.items():
        assert is_same(values, many[name][:, places]), name


@pytest.mark.parametrize("case", CASES)
def test_a_run_in_a_batch_equals_the_run_alone(case: str) -> None:
    """Up to float32's rounding, here over the first updates; later one action differs, and then all does."""
    together = columns_of([run_of(case, seed) for seed in range(3)])
    for seed in range(2):
        for name, values in columns_of([run_of(case, seed)]).items():
            # a critic's error is a small difference of returns that hardly vary here
            atol = 0.01 if name == "train/explained_variance" else 1e-4
            torch.testing.assert_close(
                together[name][:, seed], values[:, 0], rtol=1e-3, atol=atol, equal_nan=True, msg=f"{name}, seed {seed}"
            )


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_goes_on_bit_for_bit(case: str) -> None:
    states: list[Any] = []
    run = run_of(case, 1)
    whole = columns_of([run], save=lambda state: states.append(copy.deepcopy(state)), save_every=150)
    rest = columns_of([run], state=states[0])
    for name, values in whole.items():
        assert len(rest[name]) < len(values)
        assert is_same(values[-len(rest[name]) :], rest[name]), name


LEARNERS: dict[str, tuple[AgentSettings, EnvSettings, str, float, int, float]] = {
    "ppo": (PPOSettings(n_steps=32, batch_size=256, n_epochs=10, gae_lambda=0.8, gamma=0.98), CartPoleSettings(),
            "adam", 1e-3, 25_000, 120),
    "a2c": (A2CSettings(), CartPoleSettings(), "rmsprop", 7e-4, 30_000, 120),
    "reinforce": (ReinforceSettings(n_steps=250, hidden=(64,)), CartPoleSettings(), "adam", 1e-2, 40_000, 100),
    "ppo-continuous": (PPOSettings(n_steps=40, n_epochs=5, gamma=0.95), PointSettings(), "adam", 1e-3, 12_000, -3.0),
}  # fmt: skip


@pytest.mark.parametrize("case", LEARNERS)
def test_an_agent_learns(case: str) -> None:
    """From some 20 on CartPole, and -12 of the point, the mean of the last 100 episodes rises above a stated one."""
    agent, env, optimizer, lr, steps, enough = LEARNERS[case]
    columns = columns_of([run_settings(1, NoRule(), agent=agent, env=env, optimizer=optimizer, lr=lr, steps=steps)])
    returns = columns["rollout/ep_rew_mean"][:, 0]
    assert returns[-1] > enough


def test_deep_q_learning_learns() -> None:
    """Its greedy policy, that is: while it explores, episodes stay short for long."""
    env, seen = CartPoleSettings(num_envs=1).make([1, 2]), CartPoleSettings(num_envs=20).make([3, 4])
    settings = DQNSettings(
        batch_size=64, learning_starts=500, target_update_interval=10, train_freq=128, gradient_steps=64,
        exploration_steps=2000, exploration_final_eps=0.04, hidden=(256, 256),
    )  # fmt: skip
    agent = settings.make(env, [1, 2])
    optimizer = torch.optim.Adam(agent.parameters, lr=2.3e-3)
    for step in agent.gradient_steps(env):
        step.backward(agent.parameters)
        optimizer.step()
        optimizer.zero_grad()
        if step.env_steps > 2500 and step.is_last_of_rollout:
            break
    lengths, playing = torch.zeros(2, 20), torch.ones(2, 20, dtype=torch.bool)
    while playing.any():
        outcome = seen.step(agent.act(seen.observation))
        lengths += playing
        playing &= ~(outcome.terminated | outcome.truncated)
    assert (lengths.mean(1) > 80).all()
