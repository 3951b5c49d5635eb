"""What is drawn is one run's own: its end, its beginning, its scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rasched.envs import BatchedEnv, GymSettings

WORLDS = "tests.envs.gym_test_envs"


def painted(seeds: list[int], walk: dict[str, Any] | None = None, **more: Any) -> BatchedEnv:
    return GymSettings(id="rasched-test/Painted-v0", module=WORLDS, kwargs=walk or {}, **more).make(seeds)


def taken(env: BatchedEnv) -> int:
    return int(env.render()[0, 0, 0])


def test_an_episodes_end_is_drawn_and_then_the_next_beginning_is_forgotten() -> None:
    stage = painted([0], {"steps": 3}).make_render_env(0)
    seen = [taken(stage)]
    for _ in range(5):
        outcome = stage.step(torch.full((1, 1, 1), -0.5))
        seen.append(taken(stage))
        assert bool(outcome.truncated) == (seen[-1] == 3)
    assert seen == [0, 1, 2, 3, 1, 2]
    assert stage.render().shape == (60, 40, 3) and stage.render().dtype == np.uint8


def test_it_begins_by_the_runs_seed_and_as_nothing_else_does() -> None:
    env, alone = painted([9, 4, 7]), painted([4], num_envs=3)
    first = env.make_render_env(1).observation
    assert torch.equal(first, alone.make_render_env(0).observation)
    assert not torch.equal(first, env.make_render_env(2).observation)
    assert not torch.isin(first[..., 0], alone.observation[..., 0]).any()
    make_eval_env = alone.make_eval_env(3)
    for evaluation in range(3):
        make_eval_env.reset_for_evaluation(evaluation)
        assert not torch.isin(first[..., 0], make_eval_env.observation[..., 0]).any()


def test_it_is_scaled_as_its_run_is_by_now_and_leaves_the_scale_alone() -> None:
    env, raw = (painted([1, 2], num_envs=2, normalize_observation=scaled) for scaled in (True, False))
    for step in range(20):
        for each in (env, raw):
            each.step(torch.full((2, 2, 1), step % 3 - 1.0))
    before = env.state_dict()["scales"][0]
    stage = env.make_render_env(1)
    mean, variance = before["mean"][1], before["variance"][1]
    expected = (raw.make_render_env(1).observation - mean) / (variance + 1e-8).sqrt()
    torch.testing.assert_close(stage.observation, expected.clip(-10, 10).float())
    for _ in range(5):
        stage.step(torch.full((1, 1, 1), 2.0))
    after = env.state_dict()["scales"][0]
    assert torch.equal(before["mean"], after["mean"]) and before["count"] == after["count"]


def test_it_keeps_the_other_settings() -> None:
    stage = painted([0, 1], frame_stack=3, time_limit=2, normalize_reward=True).make_render_env(1)
    assert stage.observation.shape == (1, 1, 3, 2)
    outcomes = [stage.step(torch.full((1, 1, 1), -0.5)) for _ in range(2)]
    assert [bool(outcome.truncated) for outcome in outcomes] == [False, True]
    assert outcomes[0].raw_reward is None and float(outcomes[0].reward) == -0.5
    assert stage.frames_per_second == 25


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_gymnasiums_own_are_drawn(env_id: str) -> None:
    pytest.importorskip("pygame")
    stage = GymSettings(id=env_id, num_envs=16).make([0]).make_render_env(0)
    before = stage.render()
    stage.step(torch.zeros(1, 1, *stage.action_shape, dtype=torch.float32 if stage.action_shape else torch.int64))
    assert before.shape == stage.render().shape and before.std() > 1
    stage.close()
