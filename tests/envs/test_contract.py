"""Laws of every registered bandit."""

import io

import pytest
import torch

from rasched.envs import ENVS, BatchedEnv

BANDITS = ("bernoulli", "contextual", "drifting", "gaussian", "switching")
SETTINGS = {name: {"name": name} for name in BANDITS} | {
    "switching bernoulli": {"name": "bernoulli", "switch_every": 7},
}
QUICK = {"drifting": {"drift": 0.5}, "switching": {"switch_every": 7}}  # so that the means change within fifty steps


def settings(name, **more):
    return ENVS.build({**SETTINGS[name], **QUICK.get(name, {}), **more})


def actions(num_runs, num_envs, arms, step):
    """Return actions that differ between runs, environments and steps, the same for run i in every batch."""
    grid = torch.arange(num_runs)[:, None] + 3 * torch.arange(num_envs)[None, :]
    return (grid + step) % arms


def play(env, steps, seeds, first=0):
    """Step an environment; return reward, regret, optimality and observation of every step, stacked."""
    results = []
    for step in range(first, first + steps):
        step_result = env.step(actions(1000, env.num_envs, env.num_actions, step)[list(seeds)])
        results.append((step_result.reward, *step_result.metrics.values(), env.observation, env.means))
    return [torch.stack(column) for column in zip(*results, strict=True)]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(params=SETTINGS)
def name(request):
    return request.param


def test_all_five_are_registered():
    assert set(BANDITS) <= set(ENVS.names())


@pytest.mark.parametrize("num_envs", [1, 7])
@pytest.mark.parametrize("runs", [2, 5, 70])
def test_a_run_equals_itself_in_any_batch(name, runs, num_envs):
    bandit = settings(name, num_envs=num_envs)
    batch = play(bandit.make(range(runs)), 30, range(runs))
    for seed in {0, runs // 2, runs - 1}:
        alone = play(bandit.make([seed]), 30, [seed])
        assert same([column[:, [seed]] for column in batch], alone)


@pytest.mark.parametrize("runs", [2, 70])
def test_many_features_or_environments_add_up_alike_in_any_batch(runs):
    bandit = ENVS.build({"name": "contextual", "features": 64, "num_envs": 64})
    batch = play(bandit.make(range(runs)), 3, range(runs))
    assert same([column[:, [1]] for column in batch], play(bandit.make([1]), 3, [1]))


def test_another_seed_is_another_problem_and_other_noise(name):
    reward, *_, means = play(settings(name).make([0, 1]), 30, [0, 0])
    assert not torch.equal(means[:, 0], means[:, 1]) and not torch.equal(reward[:, 0], reward[:, 1])


def test_the_same_seed_twice_in_a_batch_is_the_same_run(name):
    for column in play(settings(name).make([3, 3]), 30, [0, 0]):
        assert torch.equal(column[:, 0], column[:, 1])


def test_the_problem_does_not_depend_on_the_actions(name):
    first, second = settings(name).make([5]), settings(name).make([5])
    for _ in range(20):
        first.step(torch.tensor([[0]]))
        second.step(torch.tensor([[1]]))
        assert torch.equal(first.means, second.means) and torch.equal(first.observation, second.observation)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("before", [0, 1, 6, 7, 40])
def test_a_loaded_environment_goes_on_bit_for_bit(name, before, num_envs):
    bandit, seeds = settings(name, num_envs=num_envs), [4, 9, 2]
    env, resumed = bandit.make(seeds), bandit.make(seeds)
    play(env, before, seeds)
    play(resumed, 3, seeds)  # a state may be loaded over an environment in use
    file = io.BytesIO()
    torch.save(env.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(env.means, resumed.means) and torch.equal(env.observation, resumed.observation)
    assert same(play(env, 30, seeds, before), play(resumed, 30, seeds, before))


def test_a_saved_state_holds_no_block_of_random_numbers_behind_a_view(name):
    env = settings(name).make([1, 2])
    play(env, 3, [1, 2])
    tensors = [value for value in env.state_dict().values() if isinstance(value, torch.Tensor)]
    assert tensors and all(t.untyped_storage().nbytes() == t.numel() * t.element_size() for t in tensors)


def test_a_saved_state_does_not_move_on_with_the_environment(name):
    env = settings(name).make([1, 2])
    state = env.state_dict()
    first = play(env, 20, [1, 2])
    env.load_state_dict(state)
    assert same(first, play(env, 20, [1, 2]))


@pytest.mark.parametrize("num_envs", [1, 4])
def test_shapes_and_types(name, num_envs):
    env = settings(name, arms=3, num_envs=num_envs).make([0, 1])
    assert isinstance(env, BatchedEnv)
    assert (env.num_runs, env.num_envs, env.num_actions, env.action_shape, env.dtype) == (
        2,
        num_envs,
        3,
        (),
        torch.float64,
    )
    step_result = env.step(torch.zeros(2, num_envs, dtype=torch.int64))
    assert step_result.reward.shape == step_result.terminated.shape == step_result.truncated.shape == (2, num_envs)
    assert (
        step_result.reward.dtype == torch.float64 and step_result.terminated.all() and not step_result.truncated.any()
    )
    assert set(step_result.metrics) == {"regret", "optimal"}
    assert all(metric.shape == (2,) and metric.dtype == torch.float64 for metric in step_result.metrics.values())
    assert env.observation.shape == (2, num_envs, *env.observation_shape) and env.observation.dtype == torch.float64
    assert env.means.shape[-1] == 3 and env.best_arm.shape == env.means.shape[:-1]


def test_a_returned_tensor_is_never_written_again(name):
    env = settings(name).make([0, 1])
    returned = []
    for step in range(300):
        step_result = env.step(actions(2, 1, 10, step))
        now = (step_result.reward, *step_result.metrics.values(), env.observation, env.means)
        returned.append((now, [tensor.clone() for tensor in now]))
    assert all(same(tensors, clones) for tensors, clones in returned)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_best_regret_and_optimality_follow_from_the_means(name, num_envs):
    env = settings(name, num_envs=num_envs).make(range(20))
    for step in range(20):
        means = env.means.unsqueeze(1).expand(-1, num_envs, -1) if env.means.dim() == 2 else env.means
        assert torch.equal(env.best_arm, env.means.argmax(-1))
        action = actions(20, num_envs, 10, step)
        gap = means.amax(-1) - means.gather(2, action[..., None])[..., 0]
        metrics = env.step(action).metrics
        torch.testing.assert_close(metrics["regret"], gap.mean(1), rtol=0, atol=1e-15)
        torch.testing.assert_close(metrics["optimal"], (action == means.argmax(-1)).double().mean(1), rtol=0, atol=0)


def test_the_best_arm_costs_no_regret(name):
    env = settings(name, num_envs=2).make(range(5))
    for _ in range(10):
        best = env.best_arm if env.best_arm.dim() == 2 else env.best_arm[:, None].expand(-1, 2)
        metrics = env.step(best).metrics
        assert (metrics["regret"] == 0).all() and (metrics["optimal"] == 1).all()


def test_a_bandit_draws_without_touching_the_global_generator(name):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    play(settings(name).make([0]), 5, [0])
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("shape", [(2,), (1, 1), (2, 2), (2, 1, 1)])
def test_actions_of_another_shape_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"action must have shape \(num_runs, num_envs\) = \(2, 1\), got"):
        settings(name).make([0, 1]).step(torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("arm", [-1, 10])
def test_an_unknown_arm_is_refused(name, arm):
    with pytest.raises(RuntimeError, match="out of bounds"):
        settings(name).make([0]).step(torch.tensor([[arm]]))
