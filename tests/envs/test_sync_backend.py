"""Environments stepped one after the other: as Gymnasium's own wrappers step them, and whatever they return."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rasched.envs import GymSettings
from rasched.envs.gym.batched_env import GymBatchedEnv
from rasched.envs.gym.sync_backend import SyncBackend
from tests.envs import gym_test_envs

MODULE = "tests.envs.gym_test_envs"
RAISED = "environment rasched-test/Faulty-v0 raised"
RETURNED = "environment rasched-test/Faulty-v0 returned"
MESSAGES = {
    "raise": f"{RAISED} RuntimeError (the track has) at its step 3",
    "text": f"{RETURNED} the reward '1.0', which is not one number, at its step 3",
    "complex": f"{RETURNED} the reward 1j, which is not one number, at its step 3",
    "pair": f"{RETURNED} the reward array([1., 2.]), which is not one number, at its step 3",
    "none": f"{RETURNED} the reward None, which is not one number, at its step 3",
    "huge": f"{RETURNED} the reward inf at its step 3",
    "text observed": f"{RETURNED} '0.5' instead of an observation at its step 3",
    "short": f"{RETURNED} array([0.]) instead of an observation at its step 3",
    "scalar": f"{RETURNED} 0.0 instead of an observation at its step 3",
    "unclear end": f"{RAISED} ValueError (The truth value of an array with more than one element is ambiguous."
    " Use a.any() or a.all()) at its step 3",
    "reset": f"{RAISED} RuntimeError (no track) at its step 4",
}


def play(env: GymBatchedEnv, num_steps: int = 20) -> torch.Tensor:
    """Return all rewards and observations, ``(num_runs, ...)``."""
    results = []
    for step in range(num_steps):
        reward = env.step(torch.full((env.num_runs, env.num_envs, 1), step / num_steps)).reward
        results.append(torch.cat([reward[..., None], env.observation], -1))
    return torch.stack(results, 1)


@pytest.mark.parametrize("fault", gym_test_envs.Faulty.faults)
def test_an_environment_that_misbehaves_fails_its_run_and_no_other(fault: str) -> None:
    settings = GymSettings(id="rasched-test/Faulty-v0", module=MODULE, num_envs=2, kwargs={"fault": fault})
    env = settings.make(range(8))
    results = play(env)
    assert 0 < len(env.failures) < 8
    assert set(env.failures.values()) == {MESSAGES[fault]}
    assert results.isfinite().all()
    for run_index in set(range(8)) - set(env.failures):
        alone = settings.make([run_index])
        assert torch.equal(play(alone)[0], results[run_index]) and not alone.failures


def test_a_one_element_reward_is_a_number() -> None:
    env = SyncBackend(gymnasium.spec("CartPole-v1"), 3, None, {})
    assert env._check_rewards([np.array([0.5]), 2, torch.tensor(1.0)]).tolist() == [0.5, 2.0, 1.0]
    assert env._check_rewards([np.float64(0.5), True, 1]).dtype == np.float32
    assert not env.failures


def test_an_observation_outside_a_discrete_space_fails_its_run() -> None:
    env = GymSettings(id="rasched-test/Walk-v0", module=MODULE, kwargs={"observations": 4}).make([0])
    env._backend._envs[0].observe = lambda: 4  # type: ignore[attr-defined]
    env.step(torch.ones(1, 1, 1))
    assert env.failures == {0: "environment rasched-test/Walk-v0 returned 4 instead of an observation at its step 1"}


@pytest.mark.parametrize("time_limit", [None, 1, 3])
@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [("rasched-test/Walk-v0", {"steps": 5}), ("CartPole-v1", {}), ("FrozenLake-v1", {}), ("Pendulum-v1", {})],
)
def test_it_steps_as_gymnasium_does_with_its_wrappers(
    env_id: str, kwargs: dict[str, Any], time_limit: int | None
) -> None:
    backend = SyncBackend(gymnasium.spec(env_id), 2, time_limit, kwargs)
    reference = [gymnasium.make(env_id, max_episode_steps=time_limit, **kwargs) for _ in range(2)]
    first = backend.reset([3, 4])
    assert np.array_equal(first, np.array([env.reset(seed=3 + i)[0] for i, env in enumerate(reference)], first.dtype))
    reference[0].action_space.seed(0)
    for _ in range(250):
        action = np.array([reference[0].action_space.sample() for _ in range(2)])
        step = backend.step(action)
        for i, env in enumerate(reference):
            observation, reward, terminated, truncated, _ = env.step(action[i])
            assert np.array_equal(step.final_observation[i], np.asarray(observation, first.dtype))
            assert (step.reward[i], step.terminated[i], step.truncated[i]) == (
                np.float32(reward),
                terminated,
                truncated,
            )
            if terminated or truncated:
                assert np.array_equal(step.observation[i], np.asarray(env.reset()[0], first.dtype))


def test_registered_wrappers_stay_around_the_time_limit() -> None:
    spec = gymnasium.wrappers.TimeAwareObservation(gymnasium.make("CartPole-v1", max_episode_steps=7)).spec
    assert spec is not None
    backend = SyncBackend(spec, 1, 5, {})
    backend.reset([0])
    steps = [backend.step(np.array([i % 2])) for i in range(5)]
    assert [bool(step.truncated[0]) for step in steps] == [False] * 4 + [True]
    assert steps[-1].final_observation[0, -1] > steps[0].final_observation[0, -1]
