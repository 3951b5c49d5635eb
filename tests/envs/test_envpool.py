"""Laws of a batch that EnvPool steps. They need the extra of that name."""

from __future__ import annotations

import pytest
import torch

from rasched.envs import GymSettings
from tests.envs.test_gym import actions, play

pytest.importorskip("envpool")


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_run_has_its_own_experience_whatever_runs_beside_it(env_id: str) -> None:
    settings = GymSettings(id=env_id, num_envs=3, backend="envpool", time_limit=20)
    few, many = [3, 0], [9, 0, 1, 2, 3]
    small, large = (play(settings.make(seeds), seeds, 100) for seeds in (few, many))
    assert all(torch.equal(a, b[:, [4, 1]]) for a, b in zip(small, large, strict=True))


def test_a_finished_environment_begins_a_new_episode_within_the_step() -> None:
    env = GymSettings(id="CartPole-v1", num_envs=4, backend="envpool").make([0])
    for step in range(100):
        step_result = env.step(actions(env, [0], step))
        has_ended = step_result.terminated | step_result.truncated
        assert step_result.final_observation is not None
        assert torch.equal(env.observation[~has_ended], step_result.final_observation[~has_ended])
        assert (env.observation[has_ended].abs() <= 0.05).all()


def test_each_evaluation_begins_by_its_number() -> None:
    eval_env = GymSettings(id="Pendulum-v1", backend="envpool").make([0, 1]).make_eval_env(3)
    starts = []
    for number in (0, 1, 0):
        eval_env.reset_for_evaluation(number)
        starts.append(eval_env.observation)
    assert torch.equal(starts[0], starts[2]) and not torch.equal(starts[0], starts[1])


def test_it_is_rendered_as_gymnasiums_environment_of_that_id() -> None:
    pytest.importorskip("pygame")
    env = GymSettings(id="Pendulum-v1", backend="envpool", kwargs={"num_threads": 2}).make([0, 1])
    assert env.make_render_env(1).render().shape == (500, 500, 3)


def test_its_state_is_refused_with_a_way_out() -> None:
    env = GymSettings(id="CartPole-v1", backend="envpool").make([0])
    with pytest.raises(ValueError, match="env.backend=gymnasium"):
        env.state_dict()


def test_an_unknown_environment_says_so() -> None:
    with pytest.raises(ValueError, match="env.backend=envpool has no environment rasched-test/Walk-v0"):
        GymSettings(id="rasched-test/Walk-v0", module="tests.envs.gym_test_envs", backend="envpool").make([0])
