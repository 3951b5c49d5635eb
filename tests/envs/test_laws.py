"""Each bandit pays what its docstring says; statistical bounds are four to five standard errors, the seeds fixed."""

import math

import pytest
import torch

from rasched.envs import (
    BernoulliBanditSettings,
    ContextualBanditSettings,
    DriftingBanditSettings,
    GaussianBanditSettings,
    SwitchingBanditSettings,
)
from rasched.rng import RandomStreams


def pull(env, arm, steps):
    """Pull one arm again and again; return the rewards, shape ``(steps, runs, copies)``."""
    action = torch.full((env.num_runs, env.num_envs), arm)
    return torch.stack([env.step(action).reward for _ in range(steps)])


def assert_normal(sample, mean, sd):
    """Mean, variance and the share beyond two standard deviations of a sample, each within 4.5 standard errors."""
    n, z = sample.numel(), (sample - mean) / sd
    tail = math.erfc(math.sqrt(2))
    assert abs(z.mean()) < 4.5 / math.sqrt(n)
    assert abs(z.var() - 1) < 4.5 * math.sqrt(2 / n)
    assert abs((z.abs() > 2).double().mean() - tail) < 4.5 * math.sqrt(tail * (1 - tail) / n)


def test_gaussian_means_are_drawn_about_the_level_with_the_spread():
    assert_normal(GaussianBanditSettings(mean=4.0, mean_std=0.5).make(range(3000)).means, 4.0, 0.5)


def test_gaussian_rewards_have_the_arms_mean_and_the_noise():
    env = GaussianBanditSettings(reward_std=0.3, num_envs=100).make(range(5))
    rewards = pull(env, 2, 100)
    for run in range(5):
        assert_normal(rewards[:, run], env.means[run, 2], 0.3)


def test_the_problem_and_the_noise_come_from_the_runs_own_streams():
    env = GaussianBanditSettings(mean=4.0, mean_std=0.5, reward_std=2.0).make([8, 9])
    problem, noise = RandomStreams([8, 9], "env/problem"), RandomStreams([8, 9], "env/noise")
    assert torch.equal(env.means, problem.normal(10) * 0.5 + 4.0)
    assert torch.equal(pull(env, 7, 1)[0], env.means[:, 7:8] + noise.normal(1) * 2.0)


def test_gaussian_noise_of_zero_pays_the_mean():
    env = GaussianBanditSettings(reward_std=0.0).make([0])
    assert (pull(env, 1, 3) == env.means[0, 1]).all()


def test_gaussian_means_never_move():
    env = GaussianBanditSettings().make([0])
    before = env.means
    pull(env, 0, 50)
    assert torch.equal(env.means, before)


def test_equal_arms_are_all_optimal():
    env = GaussianBanditSettings(mean_std=0.0).make([0])
    assert all(env.step(torch.tensor([[arm]])).metrics["optimal"] == 1 for arm in range(10))


def test_copies_share_the_problem_but_not_the_noise():
    env = GaussianBanditSettings(num_envs=2).make([0])
    rewards = pull(env, 0, 2000)[:, 0]
    assert abs(torch.corrcoef(rewards.t())[0, 1]) < 4 / math.sqrt(2000)
    assert_normal(rewards, env.means[0, 0], 1.0)


def test_problem_and_noise_are_not_correlated():
    env = GaussianBanditSettings(arms=2).make(range(4000))
    noise = pull(env, 0, 1)[0, :, 0] - env.means[:, 0]
    assert abs(torch.corrcoef(torch.stack([noise, env.means[:, 0]]))[0, 1]) < 4 / math.sqrt(4000)


def test_bernoulli_rewards_are_hits_at_the_arms_rate():
    env = BernoulliBanditSettings(num_envs=100).make(range(8))
    rewards = pull(env, 3, 100)
    assert set(rewards.unique().tolist()) == {0.0, 1.0}
    rate, error = env.means[:, 3], (env.means[:, 3] * (1 - env.means[:, 3]) / 10_000).sqrt()
    assert ((rewards.mean((0, 2)) - rate).abs() < 4.5 * error).all()


def test_bernoulli_rates_are_drawn_evenly():
    rates = BernoulliBanditSettings().make(range(3000)).means
    for level in (0.1, 0.5, 0.9):
        assert abs((rates < level).double().mean() - level) < 4.5 * math.sqrt(level * (1 - level) / rates.numel())


@pytest.mark.parametrize("steps", [1, 25, 100])
def test_drift_grows_with_the_root_of_the_steps(steps):
    env = DriftingBanditSettings(drift=0.2).make(range(500))
    before = env.means
    pull(env, 0, steps)
    assert_normal(env.means - before, 0.0, 0.2 * math.sqrt(steps))


def test_drift_moves_the_arms_apart_from_one_another_and_without_memory():
    env = DriftingBanditSettings(arms=3, drift=1.0).make([0])
    path = [env.means[0]]
    for _ in range(3000):
        pull(env, 0, 1)
        path.append(env.means[0])
    moves = torch.stack(path).diff(dim=0)
    correlations = torch.corrcoef(torch.cat([moves[:-1], moves[1:]], 1).t()) - torch.eye(6)
    assert correlations.abs().max() < 5 / math.sqrt(3000)


def test_no_drift_is_the_gaussian_bandit():
    drifting, gaussian = DriftingBanditSettings(drift=0.0).make([6]), GaussianBanditSettings().make([6])
    assert torch.equal(pull(drifting, 1, 20), pull(gaussian, 1, 20))


@pytest.mark.parametrize("switch_every", [1, 2, 5])
@pytest.mark.parametrize("settings", [SwitchingBanditSettings, BernoulliBanditSettings])
def test_the_means_change_exactly_every_period(settings, switch_every):
    env = settings(switch_every=switch_every).make([0, 1])
    for step in range(1, 21):
        before = env.means
        pull(env, 0, 1)
        changed = before != env.means
        assert changed.all() if step % switch_every == 0 else not changed.any()


def test_a_bernoulli_bandit_keeps_its_means_until_it_switches():
    plain, switching = (BernoulliBanditSettings(switch_every=s, num_envs=3).make(range(200)) for s in (None, 30))
    assert torch.equal(pull(plain, 2, 30), pull(switching, 2, 30))
    before = plain.means
    pull(plain, 2, 100)
    assert torch.equal(plain.means, before) and not torch.equal(switching.means, before)
    for level in (0.1, 0.5, 0.9):
        share = (switching.means < level).double().mean()
        assert abs(share - level) < 4.5 * math.sqrt(level * (1 - level) / switching.means.numel())


def test_switching_draws_its_means_as_the_gaussian_bandit_does():
    env = SwitchingBanditSettings(switch_every=1, mean=2.0, mean_std=3.0).make(range(300))
    assert torch.equal(env.means, GaussianBanditSettings(mean=2.0, mean_std=3.0).make(range(300)).means)
    pull(env, 0, 5)
    assert_normal(env.means, 2.0, 3.0)


def test_the_best_arm_depends_on_the_context():
    env = ContextualBanditSettings(arms=4, features=3, num_envs=2000).make([0])
    assert (env.best_arm[0].bincount(minlength=4) > 0).sum() >= 3
    # A policy that ignores the context earns the level, the best answer to it far more.
    assert abs(env.means.mean((0, 1))).max() < 4.5 / math.sqrt(2000)
    assert env.means.amax(-1).mean() > 0.5


def test_contextual_means_are_linear_in_the_context():
    env = ContextualBanditSettings(arms=5, features=3, mean=1.0, mean_std=2.0, reward_std=0.0, num_envs=40).make([7])
    contexts, means = env.observation[0], env.means[0]
    with_level = torch.cat([contexts, torch.ones(40, 1, dtype=torch.float64)], 1)
    solution = torch.linalg.lstsq(with_level, means)
    torch.testing.assert_close(with_level @ solution.solution, means)
    torch.testing.assert_close(solution.solution[3], torch.full((5,), 1.0, dtype=torch.float64))
    shown, expected = env.observation, env.means[0, :, 2]
    assert torch.equal(pull(env, 2, 1)[0, 0], expected)  # the means were those of the context shown before the pull
    assert not torch.equal(env.observation, shown)
    torch.testing.assert_close(torch.cat([env.observation[0], with_level[:, 3:]], 1) @ solution.solution, env.means[0])


@pytest.mark.parametrize("features", [1, 2, 6])
def test_contextual_means_have_the_spread_over_problems_and_contexts(features):
    means = ContextualBanditSettings(arms=2, features=features, mean=3.0, mean_std=0.5).make(range(20_000)).means
    assert abs(means.mean() - 3.0) < 5 * 0.5 / math.sqrt(20_000)
    assert means.std() == pytest.approx(0.5, rel=0.03)


def test_contexts_are_even_in_their_box_and_new_each_step():
    env = ContextualBanditSettings(features=2).make(range(2000))
    contexts = []
    for _ in range(3):
        contexts.append(env.observation)
        pull(env, 0, 1)
    stacked = torch.stack(contexts)
    assert -1 <= stacked.min() and stacked.max() < 1
    assert abs(stacked.mean()) < 4.5 * math.sqrt(1 / 3 / stacked.numel())
    assert stacked.var() == pytest.approx(1 / 3, rel=0.05)
    assert torch.corrcoef(stacked[..., 0, :].permute(0, 2, 1).flatten(0, 1)).fill_diagonal_(0).abs().max() < 0.1
