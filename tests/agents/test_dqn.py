"""Laws of deep Q-learning: its target, its replay buffer, its exploration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rasched.agents import DQNSettings
from rasched.agents.mlp import Array
from rasched.agents.replay_buffer import ReplayBuffer
from rasched.envs import GaussianBanditSettings
from tests.agents.toy_envs import CartPole, Point

SEEDS = (3, 5)
QUICK: dict[str, Any] = {"learning_starts": 16, "train_freq": 8, "gradient_steps": 2, "batch_size": 16}


def make_agent(**settings: Any) -> tuple[Any, Any]:
    env = CartPole(SEEDS, 2)
    env.limit = 6
    return DQNSettings(**QUICK | settings).make(env, SEEDS), env


def values_of(agent: Any, parameter: Tensor, run: int, inputs: Array) -> Tensor:
    """The values (num_rows, num_actions) of inputs (num_inputs + 1, num_rows), by torch's own operations."""
    weights, sizes, start = parameter[run, 0].double(), agent._network.sizes, 0
    x = torch.from_numpy(inputs[:-1].copy()).t().double()
    for i, (num_inputs, num_outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        end = start + (num_inputs + 1) * num_outputs
        weight = weights[start:end].view(num_inputs + 1, num_outputs)
        x = x @ weight[:-1] + weight[-1]
        x = x.relu() if i + 2 < len(sizes) else x
        start = end
    return x


@pytest.mark.parametrize("double", [False, True])
def test_the_loss_and_its_gradient(double: bool) -> None:
    agent, env = make_agent(double_q=double, gamma=0.9)
    next(agent.gradient_steps(env))
    with torch.no_grad():
        agent._target += 0.1 * torch.randn(agent._target.shape, generator=torch.Generator().manual_seed(0))
    batch = agent._replay_buffer.sample(1, 16)
    (target_of_agent,) = agent._targets(batch)
    loss, _, gradient = agent._loss(batch, target_of_agent)
    parameter = agent.parameters[0].detach().clone().requires_grad_()
    hubers = []
    for run in range(2):
        next_values = values_of(agent, agent._target, run, batch.next_inputs[run])
        chooser = values_of(agent, parameter, run, batch.next_inputs[run]) if double else next_values
        future = next_values.gather(1, chooser.argmax(1, keepdim=True))[:, 0]
        reward, not_terminated = (torch.from_numpy(x[run].copy()) for x in (batch.reward, batch.not_terminated))
        value = values_of(agent, parameter, run, batch.inputs[run])
        action = torch.from_numpy(batch.action[run].astype(np.int64))
        error = (value.gather(1, action[:, None])[:, 0] - (reward + 0.9 * not_terminated * future)).abs()
        hubers.append(torch.where(error < 1, 0.5 * error**2, error - 0.5).mean())
    torch.testing.assert_close(torch.from_numpy(loss).double(), torch.stack(hubers).detach(), rtol=1e-5, atol=1e-6)
    (expected,) = torch.autograd.grad(hubers[0] + hubers[1], parameter)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_time_limit_does_not_terminate_an_episode() -> None:
    """Episodes are truncated after six steps, before the pole can fall; the next observation is the final one."""
    agent, env = make_agent()
    next(agent.gradient_steps(env))
    batch = agent._replay_buffer.sample(1, 64)
    assert (
        (batch.not_terminated == 1).all() and (batch.inputs[:, -1] == 1).all() and (batch.next_inputs[:, -1] == 1).all()
    )
    assert np.abs(batch.next_inputs - batch.inputs).max() < 0.5
    moved = batch.inputs[:, 0] + 0.02 * batch.inputs[:, 1]
    np.testing.assert_allclose(batch.next_inputs[:, 0], moved, atol=1e-6)


def test_a_fall_terminates_an_episode() -> None:
    env = CartPole(SEEDS, 2)
    agent: Any = DQNSettings(**QUICK | {"learning_starts": 200}).make(env, SEEDS)
    next(agent.gradient_steps(env))
    batch = agent._replay_buffer.sample(1, 400)
    has_fallen = np.abs(batch.next_inputs[:, 2]) > 0.2095
    assert has_fallen.any() and np.array_equal(batch.not_terminated == 0, has_fallen)


def test_the_target_does_not_change_for_an_interval() -> None:
    agent, env = make_agent(target_update_interval=64)
    start, gradient_steps = agent._target.clone(), agent.gradient_steps(env)
    moved = {}
    for _ in range(40):
        step = next(gradient_steps)
        moved[step.env_steps] = not torch.equal(agent._target, start)
        with torch.no_grad():
            agent.parameters[0].add_(0.01)
    assert not any(moved[steps] for steps in moved if steps < 64)
    assert all(moved[steps] for steps in moved if steps >= 64) and max(moved) > 64


def test_a_soft_update_goes_part_of_the_way() -> None:
    agent, env = make_agent(target_update_interval=2, tau=0.25)
    with torch.no_grad():
        agent.parameters[0].add_(1.0)
    before = agent._target.clone()
    agent._count_steps(2)
    torch.testing.assert_close(agent._target, before + 0.25)


def test_exploration_falls_along_a_line() -> None:
    agent, _ = make_agent(exploration_steps=100, exploration_final_eps=0.1)
    rates = []
    for steps in (0, 16, 50, 100, 1000):
        rates.append(agent._epsilon(steps))
    assert rates == pytest.approx([1.0, 0.856, 0.55, 0.1, 0.1])


def test_actions_are_random_at_the_rate_of_exploration() -> None:
    class Watched(CartPole):
        def step(self, action: Tensor) -> Any:
            self.other = (action != agent.act(self.observation)).double().mean(1)
            return super().step(action)

    env = Watched(SEEDS, 20_000)
    agent: Any = DQNSettings(learning_starts=0, exploration_steps=0, exploration_final_eps=0.3, train_freq=1).make(
        env, SEEDS
    )
    agent._collect(env)
    # of those that explore, half hit the best of two by chance
    assert ((env.other - 0.15).abs() < 4 * (0.15 * 0.85 / 20_000) ** 0.5).all()


def test_a_replay_buffer_holds_the_last_transitions() -> None:
    buffer = ReplayBuffer(SEEDS, 5, 1, torch.float32)
    for t in range(4):
        number = np.full((2, 2), 2.0 * t) + [0.0, 1.0] + np.array([[0.0], [100.0]])
        observation = number[..., None]
        buffer.add(observation, observation + 0.5, number % 3, -number, number % 2 == 0)
    assert len(buffer) == 5
    sample = buffer.sample(1, 500)
    for run, first in ((0, 3), (1, 103)):
        numbers = sample.inputs[run, 0]
        assert sorted(set(numbers.tolist())) == [first + i for i in range(5)]
        assert np.array_equal(sample.next_inputs[run, 0], numbers + 0.5)
        assert np.array_equal(sample.reward[run], -numbers) and np.array_equal(sample.action[run], numbers % 3)
        assert np.array_equal(sample.not_terminated[run], numbers % 2)


def test_samples_are_uniform() -> None:
    buffer = ReplayBuffer([1], 8, 1, torch.float32)
    for t in range(8):
        number = np.full((1, 1), float(t))
        buffer.add(number[..., None], number[..., None], number, number, number < 0)
    share = np.bincount(buffer.sample(1, 16_000).action.astype(int).ravel(), minlength=8) / 16_000
    assert (np.abs(share - 1 / 8) < 4 * (7 / 64 / 16_000) ** 0.5).all()


def test_continuous_actions_and_missing_observations_are_refused() -> None:
    with pytest.raises(ValueError, match="dqn chooses among actions.*take ppo"):
        DQNSettings().make(Point(SEEDS, 1), SEEDS)
    with pytest.raises(ValueError, match="dqn reads observations"):
        DQNSettings().make(GaussianBanditSettings().make(SEEDS), SEEDS)


@pytest.mark.parametrize("wrong", [{"tau": 0.0}, {"train_freq": 0}, {"exploration_final_eps": 2.0}, {"gamma": -1.0}])
def test_wrong_settings_name_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"agent.{next(iter(wrong))} must be"):
        DQNSettings(**wrong)
