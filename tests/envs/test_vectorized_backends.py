"""Each vectorized environment gives the numbers of Gymnasium's class, whatever the number of environments."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from rasched.envs import GymSettings
from rasched.envs.gym.acrobot_backend import AcrobotBackend
from rasched.envs.gym.backend import Array, Backend
from rasched.envs.gym.batched_env import make_backend
from rasched.envs.gym.cartpole_backend import CartPoleBackend
from rasched.envs.gym.mountain_car_backend import MountainCarBackend, MountainCarContinuousBackend
from rasched.envs.gym.pendulum_backend import PendulumBackend
from rasched.envs.gym.sync_backend import SyncBackend
from rasched.envs.gym.vectorized_backend import VectorizedBackend

BACKENDS: dict[str, tuple[type[VectorizedBackend], dict[str, Any]]] = {
    "CartPole-v1": (CartPoleBackend, {"sutton_barto_reward": True}),
    "Acrobot-v1": (AcrobotBackend, {}),
    "Pendulum-v1": (PendulumBackend, {"g": 9.81}),
    "MountainCar-v0": (MountainCarBackend, {"goal_velocity": 0.02}),
    "MountainCarContinuous-v0": (MountainCarContinuousBackend, {"goal_velocity": 0.02}),
}
NUM_STEPS = 1000


@pytest.fixture(params=BACKENDS)
def env_id(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def choose_actions(space: Any, observation: Array, rng: np.random.Generator) -> Array:
    """Return noisy actions along the velocity, which swing a car or a pendulum up, so that episodes end."""
    velocity = observation[:, -1]
    noise = rng.uniform(size=len(velocity))
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.where(noise < 0.2, rng.integers(space.n, size=len(velocity)), np.where(velocity > 0, space.n - 1, 0))
    action = np.sign(velocity) * (1 - 0.5 * noise) * space.high[0]
    return action[:, None].astype(np.float32)


def assert_equal_episodes(vectorized: Backend, reference: Backend, num_envs: int, num_steps: int) -> int:
    """Step both with the same actions, and return how many episodes ended."""
    rng, seeds = np.random.default_rng(0), list(range(5, 5 + num_envs))
    observation, num_ended = vectorized.reset(seeds), 0
    assert np.array_equal(observation, reference.reset(seeds))
    for _ in range(num_steps):
        action = choose_actions(vectorized.action_space, observation, rng)
        ours, theirs = vectorized.step(action), reference.step(action)
        for name in ("observation", "final_observation", "terminated", "truncated"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
        np.testing.assert_allclose(ours.reward, theirs.reward, rtol=1e-6, atol=1e-9)
        observation, num_ended = ours.observation, num_ended + int((ours.terminated | ours.truncated).sum())
    return num_ended


CASES = [(env_id, num_envs, {}) for env_id in BACKENDS for num_envs in (1, 4, 30)]
CASES += [(env_id, num_envs, kwargs) for env_id, (_, kwargs) in BACKENDS.items() if kwargs for num_envs in (4, 30)]


@pytest.mark.parametrize(("env_id", "num_envs", "kwargs"), CASES)
def test_the_numbers_are_those_of_gymnasium(env_id: str, num_envs: int, kwargs: dict[str, Any]) -> None:
    spec = gymnasium.spec(env_id)
    vectorized, reference = (backend(spec, num_envs, None, kwargs) for backend in (BACKENDS[env_id][0], SyncBackend))
    num_steps = NUM_STEPS if num_envs == 4 else NUM_STEPS // 3
    assert assert_equal_episodes(vectorized, reference, num_envs, num_steps) >= num_envs // 2


@pytest.mark.parametrize("time_limit", [1, 2, 50])
@pytest.mark.parametrize("num_envs", [2, 30])
def test_a_time_limit_truncates_as_in_gymnasium(env_id: str, time_limit: int, num_envs: int) -> None:
    cls, _ = BACKENDS[env_id]
    spec = gymnasium.spec(env_id)
    vectorized, reference = (backend(spec, num_envs, time_limit, {}) for backend in (cls, SyncBackend))
    assert assert_equal_episodes(vectorized, reference, num_envs, 120) >= num_envs * (120 // time_limit)


def test_every_keyword_of_the_class_is_supported_or_left_to_gymnasium(env_id: str) -> None:
    cls, kwargs = BACKENDS[env_id]
    num_envs = cls.MIN_ENVS
    assert type(make_backend(GymSettings(id=env_id, kwargs=kwargs), num_envs)) is cls
    for other in ({"render_mode": "rgb_array"}, {name: np.float32(1) for name in kwargs} or {"render_mode": None}):
        assert type(make_backend(GymSettings(id=env_id, kwargs=other), num_envs)) is SyncBackend
    with pytest.raises(ValueError, match="cannot be made with these env.kwargs.*gravty"):
        make_backend(GymSettings(id=env_id, kwargs={"gravty": 1}), num_envs)


def test_few_environments_are_vectorized_too_unless_gymnasium_is_faster(env_id: str) -> None:
    cls, _ = BACKENDS[env_id]
    for num_envs in (1, 4, 100):
        expected = cls if num_envs >= cls.MIN_ENVS else SyncBackend
        assert type(make_backend(GymSettings(id=env_id), num_envs)) is expected


def test_another_class_with_the_same_id_is_not_vectorized(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gymnasium.spec("CartPole-v1")
    monkeypatch.setattr(spec, "entry_point", "tests.envs.gym_test_envs:Walk")
    assert type(make_backend(GymSettings(id="CartPole-v1"), 4)) is SyncBackend
