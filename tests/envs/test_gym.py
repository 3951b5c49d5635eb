"""Laws of batches of Gymnasium's environments."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rasched.envs import GymSettings
from rasched.envs.gym.batched_env import GymBatchedEnv
from rasched.envs.gym.env_state import restore_generator, save_generator

WALK = {"id": "rasched-test/Walk-v0", "module": "tests.envs.gym_test_envs"}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "cartpole": {"id": "CartPole-v1", "num_envs": 8},
    "cartpole without vectorization": {"id": "CartPole-v1", "num_envs": 2, "backend": "gymnasium"},
    "cartpole as floats": {"id": "CartPole-v1", "num_envs": 1},
    "acrobot": {"id": "Acrobot-v1", "num_envs": 3, "time_limit": 20},
    "mountain car": {"id": "MountainCar-v0", "num_envs": 3, "time_limit": 20},
    "continuous mountain car": {"id": "MountainCarContinuous-v0", "num_envs": 8, "time_limit": 20},
    "pendulum": {"id": "Pendulum-v1", "num_envs": 2, "time_limit": 7},
    "frozen lake": {"id": "FrozenLake-v1", "num_envs": 2},
    "walk": {**WALK, "num_envs": 3},
    "normalized walk": {**WALK, "num_envs": 3, "normalize_observation": True, "normalize_reward": True},
    "stacked cartpole": {"id": "CartPole-v1", "num_envs": 8, "frame_stack": 3, "normalize_observation": True},
}


@pytest.fixture(params=ENVIRONMENTS)
def settings(request: pytest.FixtureRequest) -> GymSettings:
    return GymSettings(**ENVIRONMENTS[request.param])


def actions(env: GymBatchedEnv, seeds: list[int], step: int) -> Tensor:
    """Return actions that differ between seeds, environments and steps, whatever the batch."""
    grid = torch.tensor(seeds)[:, None] * 7 + torch.arange(env.num_envs) * 3 + step * step
    if env.num_actions is not None:
        return grid * 5 % 11 % env.num_actions
    angles = torch.sin(grid.float())[(...,) + (None,) * len(env.action_shape)]
    return angles.expand(*grid.shape, *env.action_shape) * 1.5


def play(env: GymBatchedEnv, seeds: list[int], steps: int, first: int = 0) -> list[Tensor]:
    """Return the results of steps, each of shape (steps, runs, ...)."""
    results = []
    for step in range(first, first + steps):
        r = env.step(actions(env, seeds, step))
        assert r.final_observation is not None
        results.append((r.reward, r.terminated, r.truncated, r.final_observation, env.observation))
    return [torch.stack(column) for column in zip(*results, strict=True)]


def test_a_run_has_its_own_experience_whatever_runs_beside_it(settings: GymSettings) -> None:
    few, many = [3, 0], [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    small, large = (play(settings.make(seeds), seeds, 60) for seeds in (few, many))
    for a, b in zip(small, large, strict=True):
        assert torch.equal(a, b[:, [4, 1]])
        assert a.dtype in (torch.float32, torch.bool)


def test_another_seed_is_another_experience(settings: GymSettings) -> None:
    first, second = (play(settings.make([seed]), [0], 60)[4] for seed in (0, 1))
    assert not torch.equal(first, second)


def test_shapes_are_as_declared(settings: GymSettings) -> None:
    env = settings.make([0, 1])
    shape = 2, settings.num_envs
    assert env.observation.shape == (*shape, *env.observation_shape)
    reward, terminated, truncated, final, observation = play(env, [0, 1], 3)
    assert reward.shape == terminated.shape == truncated.shape == (3, *shape)
    assert final.shape == observation.shape == (3, *shape, *env.observation_shape)
    with pytest.raises(ValueError, match="num_runs, num_envs"):
        env.step(actions(env, [0, 1], 0)[:1])


def test_a_run_continues_bit_for_bit_from_its_state(settings: GymSettings) -> None:
    env = settings.make([5])
    play(env, [5], 33)
    file = io.BytesIO()
    torch.save(copy.deepcopy(env.state_dict()), file)
    file.seek(0)
    expected = play(env, [5], 60, 33)
    resumed = settings.make([5])
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(expected, play(resumed, [5], 60, 33), strict=True))


def test_a_finished_environment_shows_its_end_and_begins_a_new_episode() -> None:
    env = GymSettings(**WALK, num_envs=4, kwargs={"steps": 4}).make([0, 1])
    before = env.observation
    ended = 0
    for step in range(40):
        step_result = env.step(actions(env, [0, 1], step))
        has_ended = step_result.terminated | step_result.truncated
        final = step_result.final_observation
        assert final is not None
        assert torch.equal(final[..., 1], before[..., 1] + 1)
        assert torch.equal(step_result.terminated, final[..., 0].abs() > 3)
        assert torch.equal(step_result.truncated, final[..., 1] == 4)
        assert (env.observation[has_ended][:, 1] == 0).all() and (env.observation[has_ended][:, 0] < 1).all()
        assert torch.equal(env.observation[~has_ended], final[~has_ended])
        before, ended = env.observation, ended + int(has_ended.sum())
    assert ended > 40


def test_a_returned_tensor_is_never_written_again(settings: GymSettings) -> None:
    env = settings.make([0, 1])
    returned = [env.observation]
    clones = [env.observation.clone()]
    for step in range(40):
        step_result = env.step(actions(env, [0, 1], step))
        returned += [env.observation, step_result.final_observation, step_result.reward]
        clones += [tensor.clone() for tensor in returned[-3:]]
    assert all(torch.equal(a, b) for a, b in zip(returned, clones, strict=True))


def test_a_time_limit_truncates() -> None:
    for backend in ("auto", "gymnasium"):
        env = GymSettings(id="CartPole-v1", num_envs=8, time_limit=5, backend=backend).make([0])
        results = [env.step(torch.tensor([[i % 2] * 8])) for i in range(5)]
        assert not torch.stack([r.truncated for r in results[:4]]).any()
        assert results[4].truncated.all()


def test_actions_are_counted_from_zero_and_clipped() -> None:
    discrete = GymSettings(**WALK, kwargs={"actions": 3}).make([0])
    assert discrete.num_actions == 3 and discrete.action_low is None
    assert discrete.step(torch.tensor([[2]])).reward.item() == 7.0  # the space starts at 5
    box = GymSettings(**WALK).make([0])
    assert box.num_actions is None and box.action_shape == (1,)
    assert box.action_low is not None and box.action_high is not None
    assert box.action_low.tolist() == [-1.0] and box.action_high.tolist() == [2.0]
    assert [box.step(torch.full((1, 1, 1), a)).reward.item() for a in (-9.0, 0.5, 9.0)] == [-1.0, 0.5, 2.0]


def test_a_discrete_observation_becomes_a_one_hot_vector() -> None:
    env = GymSettings(**WALK, kwargs={"observations": 4}, num_envs=5).make([0])
    assert env.observation_shape == (4,)
    _, _, _, _, observation = play(env, [0], 10)
    assert torch.equal(observation.sum(-1), torch.ones(10, 1, 5)) and observation.max() == 1.0


def test_a_frame_stack_holds_the_last_observations() -> None:
    plain, stacked = (GymSettings(**WALK, num_envs=2, frame_stack=frames).make([0]) for frames in (1, 3))
    history = [plain.observation] * 3
    for step in range(25):
        action = actions(plain, [0], step)
        step_result, other = plain.step(action), stacked.step(action)
        has_ended = (step_result.terminated | step_result.truncated)[0].tolist()
        ended = torch.stack([*history[-2:], step_result.final_observation], 2)
        assert torch.equal(other.final_observation, ended)
        for env_index, is_finished in enumerate(has_ended):
            first = plain.observation[0, env_index]
            expected = first.expand(3, 2) if is_finished else ended[0, env_index]
            assert torch.equal(stacked.observation[0, env_index], expected)
        history = list(stacked.observation.unbind(2))


def test_normalization_uses_running_statistics() -> None:
    """Against Welford's formulas in float64 over all that each run has results."""
    plain = GymSettings(**WALK, num_envs=4).make([0, 1])
    normalized = GymSettings(**WALK, num_envs=4, normalize_observation=True, normalize_reward=True, gamma=0.5).make(
        [0, 1]
    )
    results, returns, discounted = [plain.observation], [], torch.zeros(2, 4, dtype=torch.float64)
    for step in range(300):
        action = actions(plain, [0, 1], step)
        step_result, other = plain.step(action), normalized.step(action)
        results.append(plain.observation)
        discounted = discounted * 0.5 + step_result.reward
        returns.append(discounted)
        discounted = torch.where(step_result.terminated | step_result.truncated, 0.0, discounted)
        assert torch.equal(other.raw_reward, step_result.reward)
        if (
            step > 200 and (step_result.terminated | step_result.truncated).any()
        ):  # the next observation is not the final one
            break
    values = torch.stack(results, 1).double().flatten(1, 2)
    mean, deviation = values.mean(1)[:, None], values.std(1, correction=0)[:, None]
    assert not torch.equal(step_result.final_observation, plain.observation)
    for ours, raw in (
        (normalized.observation, plain.observation), (other.final_observation, step_result.final_observation)
    ):  # fmt: skip
        torch.testing.assert_close(ours, ((raw - mean) / deviation).float(), rtol=1e-3, atol=1e-3)
    deviation = torch.stack(returns, 1).flatten(1).std(1, correction=0)[:, None]
    torch.testing.assert_close(other.reward, (step_result.reward / deviation).float(), rtol=1e-3, atol=1e-3)


def test_an_eval_env_shares_the_statistics_and_leaves_the_training_env_alone() -> None:
    settings = GymSettings(**WALK, num_envs=3, normalize_observation=True, normalize_reward=True)
    env, undisturbed = settings.make([0, 1]), settings.make([0, 1])
    play(env, [0, 1], 30)
    play(undisturbed, [0, 1], 30)
    eval_env = env.make_eval_env(5)
    assert eval_env.num_envs == 5
    eval_env.reset_for_evaluation(0)
    first = eval_env.observation
    step_result = eval_env.step(torch.full((2, 5, 1), 0.25))
    assert torch.equal(step_result.reward, torch.full((2, 5), 0.25)), "rewards are not normalized"
    eval_env.reset_for_evaluation(1)
    assert not torch.equal(eval_env.observation, first)
    eval_env.reset_for_evaluation(0)
    assert torch.equal(eval_env.observation, first)
    evaluated, expected = (play(e, [0, 1], 30, 30) for e in (env, undisturbed))
    assert all(torch.equal(a, b) for a, b in zip(evaluated, expected, strict=True))


@pytest.mark.parametrize("what", ["observation", "reward"])
def test_a_broken_environment_fails_its_run_and_no_other(what: str) -> None:
    settings = GymSettings(
        id="rasched-test/Breaking-v0", module="tests.envs.gym_test_envs", num_envs=2, kwargs={"what": what}
    )
    env = settings.make(range(8))
    results = play(env, list(range(8)), 20)
    value = "nan" if what == "observation" else "inf"
    assert 0 < len(env.failures) < 8
    assert set(env.failures.values()) == {
        f"environment rasched-test/Breaking-v0 returned the {what} {value} at its step 5"
    }
    assert all(column.isfinite().all() for column in results)
    healthy = next(run for run in range(8) if run not in env.failures)
    alone = settings.make([healthy])
    assert torch.equal(play(alone, [healthy], 20)[0][:, 0], results[0][:, healthy]) and not alone.failures


def test_our_bandits_are_known_by_id() -> None:
    env = GymSettings(id="rasched/GaussianBandit-v0", kwargs={"arms": 3}).make([0])
    assert env.num_actions == 3 and env.observation_shape == (1,)


def test_gymnasium_is_imported_only_when_it_is_used() -> None:
    code = "import sys, rasched.envs; rasched.envs.GymSettings(id='CartPole-v1'); assert 'gymnasium' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_saved_generator_names_one_of_numpys() -> None:
    saved = save_generator(np.random.default_rng(3))
    assert restore_generator(saved).random() == np.random.default_rng(3).random()
    for name in ("default_rng", "seed", "RandomState", "load"):
        with pytest.raises(ValueError, match=f"'{name}' is no generator of NumPy; known: PCG64"):
            restore_generator({**saved, "generator": name})
    with pytest.raises(ValueError, match="is none"):
        restore_generator({"list": [1]})
