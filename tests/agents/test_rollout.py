"""Laws of generalised advantage estimation."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rasched.agents.rollout import gae


def advantage_by_definition(reward: Any, value: Any, done: Any, gamma: float, gae_lambda: float) -> NDArray[np.float64]:
    """The definition: a sum of discounted errors up to the end of the episode, one step at a time."""
    num_steps = len(reward)
    advantage = np.zeros(num_steps)
    for t in range(num_steps):
        weight = 1.0
        for k in range(t, num_steps):
            next_value = 0.0 if done[k] else value[k + 1]
            advantage[t] += weight * (reward[k] + gamma * next_value - value[k])
            if done[k]:
                break
            weight *= gamma * gae_lambda
    return advantage


def random_rollout(seed: int, num_steps: int) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    shape = (num_steps, 3, 2)
    return random.normal(size=shape), random.normal(size=(num_steps + 1, 3, 2)), random.random(shape) < 0.2


@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0, 1), st.floats(0, 1))
def test_it_is_the_sum_of_the_definition(seed: int, num_steps: int, gamma: float, gae_lambda: float) -> None:
    reward, value, done = random_rollout(seed, num_steps)
    advantage = gae(reward, value, done, gamma, gae_lambda)
    for run in range(3):
        for env_index in range(2):
            column = np.s_[:, run, env_index]
            expected = advantage_by_definition(reward[column], value[column], done[column], gamma, gae_lambda)
            np.testing.assert_allclose(advantage[column], expected, rtol=1e-10, atol=1e-12)


def test_lambda_one_is_the_return_less_the_value() -> None:
    reward, value, _ = random_rollout(0, 8)
    never = np.zeros(reward.shape, bool)
    advantage = gae(reward, value, never, 0.9, 1.0)
    returns = value[-1].copy()
    for t in range(7, -1, -1):
        returns = reward[t] + 0.9 * returns
        np.testing.assert_allclose(advantage[t] + value[t], returns, rtol=1e-12)


def test_the_arguments_do_not_change() -> None:
    reward, value, done = random_rollout(1, 8)
    before = reward.copy(), value.copy(), done.copy()
    gae(reward, value, done, 0.9, 0.9)
    for now, then in zip((reward, value, done), before, strict=True):
        assert np.array_equal(now, then)
