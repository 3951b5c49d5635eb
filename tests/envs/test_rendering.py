"""A rendered environment belongs to one run: its episodes, its seed, its statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rasched.envs import BatchedEnv, GymSettings

TEST_ENVS = "tests.envs.gym_test_envs"


def painted(seeds: list[int], walk: dict[str, Any] | None = None, **more: Any) -> BatchedEnv:
    return GymSettings(id="rasched-test/Painted-v0", module=TEST_ENVS, kwargs=walk or {}, **more).make(seeds)


def num_steps(env: BatchedEnv) -> int:
    return int(env.render()[0, 0, 0])


def test_the_end_of_an_episode_is_rendered() -> None:
    env = painted([0], {"steps": 3}).make_render_env(0)
    counts = [num_steps(env)]
    for _ in range(5):
        step_result = env.step(torch.full((1, 1, 1), -0.5))
        counts.append(num_steps(env))
        assert bool(step_result.truncated) == (counts[-1] == 3)
    assert counts == [0, 1, 2, 3, 1, 2]
    assert env.render().shape == (60, 40, 3) and env.render().dtype == np.uint8


def test_its_seed_depends_on_the_run_and_differs_from_all_others() -> None:
    batch, single = painted([9, 4, 7]), painted([4], num_envs=3)
    first = batch.make_render_env(1).observation
    assert torch.equal(first, single.make_render_env(0).observation)
    assert not torch.equal(first, batch.make_render_env(2).observation)
    assert not torch.isin(first[..., 0], single.observation[..., 0]).any()
    eval_env = single.make_eval_env(3)
    for evaluation in range(3):
        eval_env.reset_for_evaluation(evaluation)
        assert not torch.isin(first[..., 0], eval_env.observation[..., 0]).any()


def test_it_is_normalized_as_its_run_is_and_leaves_the_statistics_alone() -> None:
    batch, raw = (painted([1, 2], num_envs=2, normalize_observation=normalized) for normalized in (True, False))
    for step in range(20):
        for each in (batch, raw):
            each.step(torch.full((2, 2, 1), step % 3 - 1.0))
    before = batch.state_dict()["stats"][0]
    env = batch.make_render_env(1)
    mean, variance = before["mean"][1], before["variance"][1]
    expected = (raw.make_render_env(1).observation - mean) / (variance + 1e-8).sqrt()
    torch.testing.assert_close(env.observation, expected.clip(-10, 10).float())
    for _ in range(5):
        env.step(torch.full((1, 1, 1), 2.0))
    after = batch.state_dict()["stats"][0]
    assert torch.equal(before["mean"], after["mean"]) and before["count"] == after["count"]


def test_it_keeps_the_other_settings() -> None:
    env = painted([0, 1], frame_stack=3, time_limit=2, normalize_reward=True).make_render_env(1)
    assert env.observation.shape == (1, 1, 3, 2)
    step_results = [env.step(torch.full((1, 1, 1), -0.5)) for _ in range(2)]
    assert [bool(step_result.truncated) for step_result in step_results] == [False, True]
    assert step_results[0].raw_reward is None and float(step_results[0].reward) == -0.5
    assert env.frames_per_second == 25


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_gymnasiums_own_are_rendered(env_id: str) -> None:
    pytest.importorskip("pygame")
    env = GymSettings(id=env_id, num_envs=16).make([0]).make_render_env(0)
    before = env.render()
    env.step(torch.zeros(1, 1, *env.action_shape, dtype=torch.float32 if env.action_shape else torch.int64))
    assert before.shape == env.render().shape and before.std() > 1
    env.close()
