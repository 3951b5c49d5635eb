"""What is drawn is one run's own: its end, its beginning, its scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rasched.envs import BatchedEnv, GymEnv

WORLDS = "tests.envs.gym_worlds"


def painted(seeds: list[int], walk: dict[str, Any] | None = None, **more: Any) -> BatchedEnv:
    return GymEnv(id="rasched-test/Painted-v0", module=WORLDS, kwargs=walk or {}, **more).make(seeds)


def taken(env: BatchedEnv) -> int:
    return int(env.picture()[0, 0, 0])


def test_an_episodes_end_is_drawn_and_then_the_next_beginning_is_forgotten() -> None:
    stage = painted([0], {"steps": 3}).rendered(0)
    seen = [taken(stage)]
    for _ in range(5):
        outcome = stage.step(torch.full((1, 1, 1), -0.5))
        seen.append(taken(stage))
        assert bool(outcome.truncated) == (seen[-1] == 3)
    assert seen == [0, 1, 2, 3, 1, 2]
    assert stage.picture().shape == (60, 40, 3) and stage.picture().dtype == np.uint8


def test_it_begins_by_the_runs_seed_and_as_nothing_else_does() -> None:
    env, alone = painted([9, 4, 7]), painted([4], copies=3)
    first = env.rendered(1).observation
    assert torch.equal(first, alone.rendered(0).observation)
    assert not torch.equal(first, env.rendered(2).observation)
    assert not torch.isin(first[..., 0], alone.observation[..., 0]).any()
    twin = alone.twin(3)
    for evaluation in range(3):
        twin.restart(evaluation)
        assert not torch.isin(first[..., 0], twin.observation[..., 0]).any()


def test_it_is_scaled_as_its_run_is_by_now_and_leaves_the_scale_alone() -> None:
    env, raw = (painted([1, 2], copies=2, normalize_observation=scaled) for scaled in (True, False))
    for step in range(20):
        for each in (env, raw):
            each.step(torch.full((2, 2, 1), step % 3 - 1.0))
    before = env.state_dict()["scales"][0]
    stage = env.rendered(1)
    mean, variance = before["mean"][1], before["variance"][1]
    expected = (raw.rendered(1).observation - mean) / (variance + 1e-8).sqrt()
    torch.testing.assert_close(stage.observation, expected.clip(-10, 10).float())
    for _ in range(5):
        stage.step(torch.full((1, 1, 1), 2.0))
    after = env.state_dict()["scales"][0]
    assert torch.equal(before["mean"], after["mean"]) and before["count"] == after["count"]


def test_it_keeps_the_other_settings() -> None:
    stage = painted([0, 1], frame_stack=3, time_limit=2, normalize_reward=True).rendered(1)
    assert stage.observation.shape == (1, 1, 3, 2)
    outcomes = [stage.step(torch.full((1, 1, 1), -0.5)) for _ in range(2)]
    assert [bool(outcome.truncated) for outcome in outcomes] == [False, True]
    assert outcomes[0].raw_reward is None and float(outcomes[0].reward) == -0.5
    assert stage.frames_per_second == 25


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"])
def test_gymnasiums_own_are_drawn(env_id: str) -> None:
    pytest.importorskip("pygame")
    stage = GymEnv(id=env_id, copies=16).make([0]).rendered(0)
    before = stage.picture()
    stage.step(torch.zeros(1, 1, *stage.action_shape, dtype=torch.float32 if stage.action_shape else torch.int64))
    assert before.shape == stage.picture().shape and before.std() > 1
    stage.close()
