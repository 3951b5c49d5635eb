"""Laws of Gymnasium's environments in a batch."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from rasched.envs import GymSettings
from rasched.envs.gym.batched_env import GymBatchedEnv
from rasched.envs.gym.cartpole_backend import CartPoleBackend
from rasched.envs.gym.sync_backend import SyncBackend

WALK = {"id": "rasched-test/Walk-v0", "module": "tests.envs.gym_test_envs"}
WORLDS: dict[str, dict[str, Any]] = {
    "cartpole": {"id": "CartPole-v1", "num_envs": 8},
    "cartpole, one by one": {"id": "CartPole-v1", "num_envs": 2, "backend": "gymnasium"},
    "pendulum": {"id": "Pendulum-v1", "num_envs": 2, "time_limit": 7},
    "frozen lake": {"id": "FrozenLake-v1", "num_envs": 2},
    "walk": {**WALK, "num_envs": 3},
    "scaled walk": {**WALK, "num_envs": 3, "normalize_observation": True, "normalize_reward": True},
    "stacked cartpole": {"id": "CartPole-v1", "num_envs": 8, "frame_stack": 3, "normalize_observation": True},
}


@pytest.fixture(params=WORLDS)
def settings(request: pytest.FixtureRequest) -> GymSettings:
    return GymSettings(**WORLDS[request.param])


def actions(env: GymBatchedEnv, seeds: list[int], step: int) -> Tensor:
    """Actions that differ from seed to seed, copy to copy and step to step, whatever the batch."""
    grid = torch.tensor(seeds)[:, None] * 7 + torch.arange(env.num_envs) * 3 + step * step
    if env.num_actions is not None:
        return grid * 5 % 11 % env.num_actions
    turned = torch.sin(grid.float())[(...,) + (None,) * len(env.action_shape)]
    return turned.expand(*grid.shape, *env.action_shape) * 1.5


def play(env: GymBatchedEnv, seeds: list[int], steps: int, first: int = 0) -> list[Tensor]:
    """Return all that steps bring, each of shape (steps, runs, ...)."""
    seen = []
    for step in range(first, first + steps):
        o = env.step(actions(env, seeds, step))
        assert o.final_observation is not None
        seen.append((o.reward, o.terminated, o.truncated, o.final_observation, env.observation))
    return [torch.stack(column) for column in zip(*seen, strict=True)]


def test_a_run_has_its_own_experience_whatever_runs_beside_it(settings: GymSettings) -> None:
    few, many = [3, 0], [9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10]
    mine, theirs = (play(settings.make(seeds), seeds, 60) for seeds in (few, many))
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b[:, [4, 1]])
        assert a.dtype in (torch.float32, torch.bool)


def test_another_seed_is_another_experience(settings: GymSettings) -> None:
    one, other = (play(settings.make([seed]), [0], 60)[4] for seed in (0, 1))
    assert not torch.equal(one, other)


def test_shapes_are_those_announced(settings: GymSettings) -> None:
    env = settings.make([0, 1])
    shape = 2, settings.num_envs
    assert env.observation.shape == (*shape, *env.observation_shape)
    reward, terminated, truncated, final, observation = play(env, [0, 1], 3)
    assert reward.shape == terminated.shape == truncated.shape == (3, *shape)
    assert final.shape == observation.shape == (3, *shape, *env.observation_shape)
    with pytest.raises(ValueError, match="runs, num_envs"):
        env.step(actions(env, [0, 1], 0)[:1])


def test_a_run_goes_on_bit_for_bit_from_its_state(settings: GymSettings) -> None:
    env = settings.make([5])
    play(env, [5], 33)
    file = io.BytesIO()
    torch.save(copy.deepcopy(env.state_dict()), file)
    file.seek(0)
    expected = play(env, [5], 60, 33)
    again = settings.make([5])
    again.load_state_dict(torch.load(file, weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(expected, play(again, [5], 60, 33), strict=True))


def test_a_finished_copy_shows_where_it_ended_and_begins_anew() -> None:
    env = GymSettings(**WALK, num_envs=4, kwargs={"steps": 4}).make([0, 1])
    before = env.observation
    ended = 0
    for step in range(40):
        outcome = env.step(actions(env, [0, 1], step))
        over = outcome.terminated | outcome.truncated
        final = outcome.final_observation
        assert final is not None
        assert torch.equal(final[..., 1], before[..., 1] + 1)
        assert torch.equal(outcome.terminated, final[..., 0].abs() > 3)
        assert torch.equal(outcome.truncated, final[..., 1] == 4)
        assert (env.observation[over][:, 1] == 0).all() and (env.observation[over][:, 0] < 1).all()
        assert torch.equal(env.observation[~over], final[~over])
        before, ended = env.observation, ended + int(over.sum())
    assert ended > 40


def test_observations_handed_out_are_never_written_again(settings: GymSettings) -> None:
    env = settings.make([0, 1])
    kept = [env.observation]
    num_envs = [env.observation.clone()]
    for step in range(40):
        outcome = env.step(actions(env, [0, 1], step))
        kept += [env.observation, outcome.final_observation, outcome.reward]
        num_envs += [k.clone() for k in kept[-3:]]
    assert all(torch.equal(a, b) for a, b in zip(kept, num_envs, strict=True))


def test_the_vectorised_cartpole_plays_the_episodes_of_single_ones() -> None:
    """Equal to float32 rounding until a pole falls at another step, which none of these does."""
    seeds = [0, 1]
    together = GymSettings(id="CartPole-v1", num_envs=8, time_limit=30).make(seeds)
    single = GymSettings(id="CartPole-v1", num_envs=8, time_limit=30, backend="gymnasium").make(seeds)
    assert isinstance(together._backend, CartPoleBackend) and isinstance(single._backend, SyncBackend)
    for a, b in zip(play(together, seeds, 500), play(single, seeds, 500), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_each_copy_plays_what_gymnasium_would() -> None:
    env = GymSettings(id="CartPole-v1", num_envs=1).make([4])
    theirs = gymnasium.make("CartPole-v1")
    theirs.reset(seed=0)
    theirs.unwrapped.state = env._backend._envs[0].unwrapped.state  # type: ignore[attr-defined]
    for step in range(8):
        outcome = env.step(torch.tensor([[step % 2]]))
        observation, reward, terminated, _, _ = theirs.step(step % 2)
        assert np.array_equal(env.observation[0, 0].numpy(), observation)
        assert outcome.reward.item() == reward and outcome.terminated.item() == terminated


def test_a_time_limit_truncates() -> None:
    for backend in ("auto", "gymnasium"):
        env = GymSettings(id="CartPole-v1", num_envs=8, time_limit=5, backend=backend).make([0])
        seen = [env.step(torch.tensor([[i % 2] * 8])) for i in range(5)]
        assert not torch.stack([o.truncated for o in seen[:4]]).any()
        assert seen[4].truncated.all()


def test_actions_are_counted_from_zero_and_clipped() -> None:
    discrete = GymSettings(**WALK, kwargs={"actions": 3}).make([0])
    assert discrete.num_actions == 3 and discrete.action_low is None
    assert discrete.step(torch.tensor([[2]])).reward.item() == 7.0  # the space starts at 5
    box = GymSettings(**WALK).make([0])
    assert box.num_actions is None and box.action_shape == (1,)
    assert box.action_low is not None and box.action_high is not None
    assert box.action_low.tolist() == [-1.0] and box.action_high.tolist() == [2.0]
    assert [box.step(torch.full((1, 1, 1), a)).reward.item() for a in (-9.0, 0.5, 9.0)] == [-1.0, 0.5, 2.0]


def test_one_of_n_is_shown_as_a_one_hot_vector() -> None:
    env = GymSettings(**WALK, kwargs={"observations": 4}, num_envs=5).make([0])
    assert env.observation_shape == (4,)
    _, _, _, _, observation = play(env, [0], 10)
    assert torch.equal(observation.sum(-1), torch.ones(10, 1, 5)) and observation.max() == 1.0


def test_frames_are_the_last_observations() -> None:
    plain, stacked = (GymSettings(**WALK, num_envs=2, frame_stack=frames).make([0]) for frames in (1, 3))
    history = [plain.observation] * 3
    for step in range(25):
        action = actions(plain, [0], step)
        outcome, other = plain.step(action), stacked.step(action)
        over = (outcome.terminated | outcome.truncated)[0].tolist()
        ended = torch.stack([*history[-2:], outcome.final_observation], 2)
        assert torch.equal(other.final_observation, ended)
        for copy_, is_over in enumerate(over):
            first = plain.observation[0, copy_]
            expected = first.expand(3, 2) if is_over else ended[0, copy_]
            assert torch.equal(stacked.observation[0, copy_], expected)
        history = list(stacked.observation.unbind(2))


def test_scaling_is_that_of_running_statistics() -> None:
    """Against Welford's formulas in float64 over all that each run has seen."""
    plain = GymSettings(**WALK, num_envs=4).make([0, 1])
    scaled = GymSettings(**WALK, num_envs=4, normalize_observation=True, normalize_reward=True, gamma=0.5).make([0, 1])
    seen, returns, discounted = [plain.observation], [], torch.zeros(2, 4, dtype=torch.float64)
    for step in range(300):
        action = actions(plain, [0, 1], step)
        outcome, other = plain.step(action), scaled.step(action)
        seen.append(plain.observation)
        discounted = discounted * 0.5 + outcome.reward
        returns.append(discounted)
        discounted = torch.where(outcome.terminated | outcome.truncated, 0.0, discounted)
        assert torch.equal(other.raw_reward, outcome.reward)
        if step > 200 and (outcome.terminated | outcome.truncated).any():  # what comes next is not what it led to
            break
    values = torch.stack(seen, 1).double().flatten(1, 2)
    mean, deviation = values.mean(1)[:, None], values.std(1, correction=0)[:, None]
    assert not torch.equal(outcome.final_observation, plain.observation)
    for ours, raw in (
        (scaled.observation, plain.observation), (other.final_observation, outcome.final_observation)
    ):  # fmt: skip
        torch.testing.assert_close(ours, ((raw - mean) / deviation).float(), rtol=1e-3, atol=1e-3)
    deviation = torch.stack(returns, 1).flatten(1).std(1, correction=0)[:, None]
    torch.testing.assert_close(other.reward, (outcome.reward / deviation).float(), rtol=1e-3, atol=1e-3)


def test_a_twin_leaves_its_original_alone_and_sees_with_its_eyes() -> None:
    settings = GymSettings(**WALK, num_envs=3, normalize_observation=True, normalize_reward=True)
    env, undisturbed = settings.make([0, 1]), settings.make([0, 1])
    play(env, [0, 1], 30)
    play(undisturbed, [0, 1], 30)
    make_eval_env = env.make_eval_env(5)
    assert make_eval_env.num_envs == 5
    make_eval_env.reset_for_evaluation(0)
    first = make_eval_env.observation
    outcome = make_eval_env.step(torch.full((2, 5, 1), 0.25))
    assert torch.equal(outcome.reward, torch.full((2, 5), 0.25)), "rewards come as they are"
    make_eval_env.reset_for_evaluation(1)
    assert not torch.equal(make_eval_env.observation, first)
    make_eval_env.reset_for_evaluation(0)
    assert torch.equal(make_eval_env.observation, first)
    mine, theirs = (play(e, [0, 1], 30, 30) for e in (env, undisturbed))
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("what", ["observation", "reward"])
def test_a_broken_environment_names_itself_and_spares_its_neighbours(what: str) -> None:
    settings = GymSettings(
        id="rasched-test/Breaking-v0", module="tests.envs.gym_test_envs", num_envs=2, kwargs={"what": what}
    )
    env = settings.make(range(8))
    seen = play(env, list(range(8)), 20)
    value = "nan" if what == "observation" else "inf"
    assert 0 < len(env.failures) < 8
    assert set(env.failures.values()) == {f"environment rasched-test/Breaking-v0 gave {value} as {what} at its step 5"}
    assert all(column.isfinite().all() for column in seen)
    sane = next(run for run in range(8) if run not in env.failures)
    alone = settings.make([sane])
    assert torch.equal(play(alone, [sane], 20)[0][:, 0], seen[0][:, sane]) and not alone.failures


def test_our_own_bandits_are_found_by_their_ids() -> None:
    env = GymSettings(id="rasched/GaussianBandit-v0", kwargs={"arms": 3}).make([0])
    assert env.num_actions == 3 and env.observation_shape == (1,)


def test_gymnasium_is_imported_when_it_is_used() -> None:
    code = "import sys, rasched.envs; rasched.envs.GymSettings(id='CartPole-v1'); assert 'gymnasium' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
