"""The bandits in Gymnasium equal the batched ones."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rasched.envs import ENVS
from rasched.envs.bandits.registration import BanditEnv, BanditVectorEnv
from rasched.envs.bandits.rendering import draw_arms

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


def arms(num_envs, num_arms, step):
    return np.arange(num_envs) * (step + 1) % num_arms


def play(vector, seed, num_steps):
    """Return all arrays of all steps."""
    observation, infos = vector.reset(seed=seed)
    results = [[observation, infos["best_arm"]]]
    for step in range(num_steps):
        *arrays, infos = vector.step(arms(vector.num_envs, 5, step))
        results.append([*arrays, *(infos[key] for key in sorted(infos))])
    return results


@pytest.mark.parametrize("seed", [3, [7, 3, 7]])
def test_make_vec_steps_one_batch_with_the_numbers_of_single_environments(name, seed):
    make = {"num_envs": 3, "arms": 5, **QUICK.get(name, {})}
    batch = gymnasium.make_vec(IDS[name], **make, max_episode_steps=20)
    assert isinstance(batch, BanditVectorEnv)
    make["max_episode_steps"] = 20
    single = gymnasium.make_vec(IDS[name], vectorization_mode="sync", **make)
    assert batch.observation_space == single.observation_space and batch.action_space == single.action_space
    for ours, theirs in zip(play(batch, seed, 64), play(single, seed, 64), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a, b) and a.dtype == b.dtype


def test_the_vectorized_form_works_under_gymnasiums_wrappers():
    vector = gymnasium.wrappers.vector.RecordEpisodeStatistics(gymnasium.make_vec(IDS["gaussian"], num_envs=4))
    vector.reset(seed=0)
    for _ in range(1000):
        *_, truncated, infos = vector.step(vector.action_space.sample())
    assert truncated.all() and infos["episode"]["l"].tolist() == [1000] * 4


@pytest.mark.parametrize("actions", [[0, 0], [0, 0, 10]])
def test_the_vectorized_form_refuses_wrong_actions(actions):
    vector = gymnasium.make_vec(IDS["gaussian"], num_envs=3)
    with pytest.raises(gymnasium.error.ResetNeeded):
        vector.step([0, 0, 0])
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="actions must be 3 arms from 0 to 9"):
        vector.step(actions)


def test_an_image_shows_the_means_and_the_pulls():
    means, num_pulls = np.array([1.0, -0.5, 0.0]), np.array([0, 3, 1])
    image = draw_arms(means, num_pulls, last_arm=1)
    heights = {
        color: [(image[:, 8 + 24 * arm + 12] == color).all(-1).sum() for arm in range(3)]
        for color in ((60, 150, 80), (70, 110, 180), (190, 190, 190), (230, 140, 30))
    }
    best, other, pulls, last_pull = heights.values()
    assert best[0] == pytest.approx(2 * other[1], abs=2) and best[1:] == [0, 0] and other[2] == 0
    assert last_pull[1] == pytest.approx(3 * pulls[2], abs=2) and pulls[:2] == [0, 0]


def test_only_rgb_array_is_rendered(name):
    env = gymnasium.make(IDS[name], render_mode="rgb_array")
    env.reset(seed=0)
    before = env.render()
    env.step(0)
    assert before.shape == env.render().shape and before.shape[2] == 3 and (before != env.render()).any()
    assert BanditEnv("gaussian", render_mode=None).render() is None
    with pytest.raises(ValueError, match="render_mode must be None or rgb_array, got 'human'"):
        BanditEnv("gaussian", render_mode="human")
    vector = gymnasium.make_vec(IDS[name], num_envs=2, render_mode="rgb_array")
    vector.reset(seed=0)
    assert np.array_equal(vector.render()[0], before)


@pytest.mark.sb3
@pytest.mark.parametrize("algorithm", ["PPO", "A2C", "DQN"])
def test_stable_baselines3_trains_on_it_by_id(name, algorithm):
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env

    few_steps = {"PPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 1}, "A2C": {}, "DQN": {"learning_starts": 8}}
    for env in (IDS[name], make_vec_env(IDS[name], n_envs=2, seed=0)):
        model = getattr(sb3, algorithm)("MlpPolicy", env, device="cpu", seed=0, **few_steps[algorithm])
        assert model.learn(32).num_timesteps >= 32
