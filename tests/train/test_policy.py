"""Laws of a trained policy: it is the run's own, it acts as the agent did, and it plays fresh episodes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from rasched.agents import A2CSettings, DQNSettings, PPOSettings, ReinforceSettings
from rasched.envs import (
    ContextualBanditSettings,
    DriftingBanditSettings,
    EnvSettings,
    GaussianBanditSettings,
    GymSettings,
)
from rasched.errors import UsageError
from rasched.rng import RandomStreams
from rasched.train.callbacks import Callback
from rasched.train.loop import train
from rasched.train.policy import Policy
from rasched.train.settings import RunSettings
from tests.run_factories import run_settings

CARTPOLE = {"name": "gym", "id": "CartPole-v1", "num_envs": 2, "normalize_observation": True, "frame_stack": 2}
PENDULUM = {"name": "gym", "id": "Pendulum-v1", "num_envs": 2, "time_limit": 20, "normalize_reward": True}
SMALL_PPO = {"name": "ppo", "n_steps": 32, "batch_size": 32, "n_epochs": 2, "hidden": [8]}
# settings by name: the agent and the environment as a configuration has them
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ppo": (SMALL_PPO, PENDULUM),
    "a2c": ({"name": "a2c", "hidden": [8]}, CARTPOLE),
    "dqn": ({"name": "dqn", "learning_starts": 32, "buffer_size": 500, "batch_size": 16, "hidden": [8]}, CARTPOLE),
    "reinforce": ({"name": "reinforce", "n_steps": 40, "hidden": [8]}, CARTPOLE),
    "bandit": ({"name": "reinforce"}, {"name": "gaussian"}),
    "drifting": ({"name": "reinforce"}, {"name": "drifting"}),
    "contextual": ({"name": "reinforce", "hidden": [8]}, {"name": "contextual"}),
    "frozen_lake": (
        {"name": "dqn", "learning_starts": 32, "buffer_size": 500, "hidden": [8]},
        {"name": "gym", "id": "FrozenLake-v1"},
    ),
}
AGENTS = {"ppo": PPOSettings, "a2c": A2CSettings, "dqn": DQNSettings, "reinforce": ReinforceSettings}
ENVS: dict[str, Any] = {
    "gym": GymSettings,
    "gaussian": GaussianBanditSettings,
    "drifting": DriftingBanditSettings,
    "contextual": ContextualBanditSettings,
}


class KeepPolicies(Callback):
    """Keeps the policy of every run, and the state at one step."""

    def __init__(self, save_at: int | None = None) -> None:
        self.save_at, self.saved = save_at, b""
        self.policies: dict[int, dict[str, Any]] = {}

    def on_checkpoint(self, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        if self.save_at is not None and step >= self.save_at and not self.saved:
            buffer = io.BytesIO()
            torch.save(state_dict(), buffer)
            self.saved = buffer.getvalue()

    def on_policies(self, policy_of: Callable[[int], dict[str, Any]]) -> None:
        self.policies = {run_index: policy_of(run_index) for run_index in range(self.num_runs)}

    def train(self, runs: list[RunSettings], state: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.num_runs = len(runs)
        assert all(result.is_done for result in train(runs, self, state=state, batched=True))
        return list(self.policies.values())


def runs(case: str, seeds: list[int]) -> list[RunSettings]:
    agent, env = ({k: v for k, v in node.items() if k != "name"} for node in CASES[case])
    settings = {"agent": AGENTS[CASES[case][0]["name"]](**agent), "env": ENVS[CASES[case][1]["name"]](**env)}
    return [run_settings(seed, optimizer="adam", lr=1e-2, steps=128, **settings) for seed in seeds]


def policy_of(case: str, state: dict[str, Any]) -> Policy:
    """Through a file, as a user's."""
    buffer = io.BytesIO()
    torch.save({"agent": CASES[case][0], "env": CASES[case][1], **state}, buffer)
    buffer.seek(0)
    return Policy(torch.load(buffer, weights_only=True))


def assert_same(first: Any, second: Any) -> None:
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert_same(value, second[key])
    elif isinstance(first, list):
        for ours, theirs in zip(first, second, strict=True):
            assert_same(ours, theirs)
    else:
        assert first == second


@pytest.mark.parametrize("case", CASES)
def test_a_policy_does_not_depend_on_the_neighbours_of_its_run(case: str) -> None:
    _, second = KeepPolicies().train(runs(case, [3, 5]))
    (alone,) = KeepPolicies().train(runs(case, [5]))
    assert_same(alone, second)


@pytest.mark.parametrize("case", ["ppo", "dqn", "contextual"])
def test_a_policy_is_the_same_after_a_resume(case: str) -> None:
    whole = KeepPolicies(save_at=50)
    expected = whole.train(runs(case, [3, 5]))
    state = torch.load(io.BytesIO(whole.saved), weights_only=True)
    assert 50 <= state["step"] < 128
    assert_same(KeepPolicies().train(runs(case, [3, 5]), state), expected)


@pytest.mark.parametrize("case", CASES)
def test_it_plays_as_many_fresh_episodes_as_asked_for(case: str) -> None:
    policy = policy_of(case, KeepPolicies().train(runs(case, [5]))[0])
    first, again, other = policy.play(5), policy.play(5), policy.play(5, seed=1)
    assert first.shape == (5,) and np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() or case == "frozen_lake"  # whose returns are 0 or 1


@pytest.mark.parametrize("case", ["ppo", "a2c", "frozen_lake"])
def test_it_acts_on_the_observations_of_gymnasium_as_it_plays(case: str) -> None:
    policy = policy_of(case, KeepPolicies().train(runs(case, [5]))[0])
    env_settings = CASES[case][1]
    env = gymnasium.make(env_settings["id"], max_episode_steps=env_settings.get("time_limit"))
    (reset_seed,) = (RandomStreams([7], "env/test").uniform(1) * 2**31).long().flatten().tolist()
    observation, _ = env.reset(seed=reset_seed)
    policy.reset()
    total, is_over = 0.0, False
    while not is_over:
        action = policy.act(observation)
        assert env.action_space.contains(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, is_over = total + float(reward), terminated or truncated
    np.testing.assert_allclose(policy.play(1, seed=7), total, rtol=1e-5)


def test_a_batch_of_observations_gives_the_actions_of_each() -> None:
    case = "contextual"
    policy = policy_of(case, KeepPolicies().train(runs(case, [5]))[0])
    contexts = np.random.default_rng(0).uniform(-1, 1, (20, 4))
    actions = policy.act(contexts)
    assert actions.shape == (20,) and len(set(actions.tolist())) > 1
    assert actions.tolist() == [policy.act(context) for context in contexts]


def test_a_bandit_policy_pulls_the_arm_that_it_prefers_on_the_problem_of_its_run() -> None:
    settings = GaussianBanditSettings()
    (run,) = (run_settings(5, lr=0.5, steps=500, env=settings),)
    (state,) = KeepPolicies().train([run])
    policy = Policy({"agent": {"name": "reinforce"}, "env": {"name": "gaussian"}, **state})
    means = settings.make([5]).means[0]
    assert policy.act() == int(means.argmax())
    assert policy.play(4000).mean() == pytest.approx(float(means.max()), abs=0.08)


def test_an_observation_of_another_shape_is_refused() -> None:
    policy = policy_of("a2c", KeepPolicies().train(runs("a2c", [5]))[0])
    for wrong in (None, np.zeros(3), np.zeros((2, 5)), 0.0):
        with pytest.raises(ValueError, match=r"must have shape \(4,\), or \(num_envs, ...\), got"):
            policy.act(wrong)


def test_an_environment_without_a_test_is_a_sentence() -> None:
    policy = policy_of("bandit", KeepPolicies().train(runs("bandit", [5]))[0])
    policy.config["env"] = {"name": "gym", "id": "Nothing-v1"}
    with pytest.raises(UsageError, match="Nothing-v1"):
        policy.play(1)
    with pytest.raises(ValueError, match="offers no environment to test a policy in"):
        EnvSettings.make_test_env(GaussianBanditSettings(), 1, 0, {})
