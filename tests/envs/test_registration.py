"""The bandits in Gymnasium equal the batched ones."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rasched.envs import ENVS
from rasched.envs.bandits.registration import BanditEnv

IDS = {
    "gaussian": "rasched/GaussianBandit-v0",
    "bernoulli": "rasched/BernoulliBandit-v0",
    "drifting": "rasched/DriftingBandit-v0",
    "switching": "rasched/SwitchingBandit-v0",
    "contextual": "rasched/ContextualBandit-v0",
}
QUICK = {"drifting": {"drift": 0.5}, "switching": {"switch_every": 7}}


@pytest.fixture(params=IDS)
def name(request):
    return request.param


def test_gymnasiums_checker_accepts_it(name):
    check_env(gymnasium.make(IDS[name]).unwrapped)  # its warnings are errors here


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_both_forms_draw_the_same_rewards(name, seed):
    settings = {"arms": 6, **QUICK.get(name, {})}
    env = gymnasium.make(IDS[name], **settings)
    batch = ENVS.build({"name": name, **settings}).make([seed])
    arms = np.random.default_rng(seed).integers(6, size=50)
    observation, _ = env.reset(seed=seed)
    for arm in arms:
        expected = batch.observation[0, 0].reshape(-1).numpy().astype(np.float32)
        assert np.array_equal(observation, expected)
        best = int(batch.best_arm)
        observation, reward, terminated, truncated, info = env.step(arm)
        step_result = batch.step(torch.tensor([[arm]]))
        assert reward == step_result.reward.item() and not terminated and not truncated
        assert info == {"regret": step_result.metrics["regret"].item(), "best_arm": best}


def test_reset_with_a_seed_plays_again_and_without_one_goes_on(name):
    env = gymnasium.make(IDS[name], **QUICK.get(name, {}))

    def episode(seed):
        env.reset(seed=seed)
        return [env.step(0)[1] for _ in range(64)]

    first, second, third = episode(3), episode(None), episode(None)
    assert first != second != third != first
    assert [episode(3), episode(None), episode(None)] == [first, second, third]


def test_an_episode_is_a_thousand_pulls_of_one_problem():
    env = gymnasium.make(IDS["gaussian"])
    _, info = env.reset(seed=0)
    for pull in range(1, 1001):
        _, _, terminated, truncated, after = env.step(0)
        assert not terminated and truncated == (pull == 1000) and after["best_arm"] == info["best_arm"]


def test_spaces(name):
    env = gymnasium.make(IDS[name], arms=3)
    assert env.action_space == gymnasium.spaces.Discrete(3)
    box = (-1, 1, (4,)) if name == "contextual" else (0, 1, (1,))
    assert env.observation_space == gymnasium.spaces.Box(*box, np.float32)


@pytest.mark.parametrize("arm", [-1, 3, 0.5])
def test_an_unknown_arm_is_refused(arm):
    env = BanditEnv("gaussian", arms=3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be an arm from 0 to 2"):
        env.step(arm)


def test_a_step_before_the_first_reset_is_refused():
    with pytest.raises(gymnasium.error.ResetNeeded):
        BanditEnv("gaussian").step(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 2}, "env.num_envs must be 1"),
        ({"arms": 1}, "env.arms must be"),
        ({"arm": 3}, "did you mean 'arms'"),
    ],
)
def test_settings_are_checked_as_for_the_batch(settings, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make(IDS["gaussian"], **settings)


def test_naming_the_module_in_the_id_is_enough():
    env_id = "rasched.envs.bandits.registration:rasched/GaussianBandit-v0"
    code = f"import gymnasium; gymnasium.make({env_id!r}, arms=3).reset(seed=0)"
    assert subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=False).returncode == 0


def test_gymnasiums_own_vector_takes_it(name):
    vector = gymnasium.make_vec(IDS[name], num_envs=3, vectorization_mode="sync")
    vector.reset(seed=5)
    alone = gymnasium.make(IDS[name])
    alone.reset(seed=6)  # Gymnasium seeds its i-th environment with seed + i
    _, rewards, *_ = vector.step(np.zeros(3, dtype=np.int64))
    assert rewards[1] == alone.step(0)[1]
