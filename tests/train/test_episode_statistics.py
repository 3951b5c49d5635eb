"""Laws of counting episodes, and of hearing them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import Any

import pytest
import torch
from torch import Tensor

from rasched.agents import A2CSettings, GradientStep, PPOSettings
from rasched.envs import GaussianBanditSettings, GymSettings
from rasched.rules import Kelly
from rasched.train.episode_statistics import WINDOW, EpisodeStatistics
from rasched.train.settings import EvaluationSettings, RunSettings, SignalSettings
from tests.run_factories import columns_of, run_settings, train_runs
from tests.scripted import ScriptedSettings, square

CARTPOLE = GymSettings(id="CartPole-v1", num_envs=2)


def by_hand(env: Any, steps: int) -> tuple[list[list[float]], list[list[int]]]:
    """Play random actions; return each run's episode returns and lengths, in the order in which they finished."""
    random = torch.Generator().manual_seed(0)
    returns: list[list[float]] = [[] for _ in range(env.num_runs)]
    lengths: list[list[int]] = [[] for _ in range(env.num_runs)]
    sums = torch.zeros(env.num_runs, env.num_envs, dtype=torch.float64)
    counts = torch.zeros(env.num_runs, env.num_envs, dtype=torch.int64)
    for _ in range(steps):
        outcome = env.step(torch.randint(0, 2, (env.num_runs, env.num_envs), generator=random))
        sums += outcome.reward if outcome.raw_reward is None else outcome.raw_reward
        counts += 1
        for run, copy in (outcome.terminated | outcome.truncated).nonzero().tolist():
            returns[run].append(sums[run, copy].item())
            lengths[run].append(int(counts[run, copy]))
            sums[run, copy], counts[run, copy] = 0, 0
    return returns, lengths


@pytest.mark.parametrize("scaled", [False, True])
def test_returns_and_lengths_are_those_counted_by_hand(scaled: bool) -> None:
    world = EpisodeStatistics(GymSettings(id="CartPole-v1", num_envs=8, normalize_reward=scaled).make([0, 1, 2]))
    first, _ = by_hand(world, 300)
    columns = world.columns()
    returns, lengths = by_hand(world, 1500)
    later = world.columns()
    for run in range(3):
        assert len(returns[run]) > WINDOW, "or the window is not tested"
        everything = first[run] + returns[run]
        assert columns["rollout/ep_rew_mean"][run] == pytest.approx(sum(first[run][-100:]) / len(first[run][-100:]))
        assert columns["charts/episodic_return"][run] == pytest.approx(sum(first[run]) / len(first[run]))
        # the first episode of the second part began in the first one, so only the window is certain here
        assert later["rollout/ep_rew_mean"][run] == pytest.approx(sum(everything[-100:]) / 100)
        assert later["rollout/ep_len_mean"][run] == pytest.approx(sum(lengths[run][-100:]) / 100)


def test_before_the_first_episode_is_over_there_is_no_value() -> None:
    world = EpisodeStatistics(CARTPOLE.make([0]))
    world.step(torch.zeros(1, 2, dtype=torch.int64))
    assert all(values.isnan().all() for values in world.columns().values())


def test_counting_goes_on_from_a_saved_state() -> None:
    env, other = CARTPOLE.make([0]), CARTPOLE.make([0])
    world, again = EpisodeStatistics(env), EpisodeStatistics(other)
    by_hand(world, 100)
    other.load_state_dict(env.state_dict())
    again.load_state_dict(world.state_dict())
    assert torch.equal(again.observation, world.observation)
    by_hand(world, 200), by_hand(again, 200)
    assert all(torch.equal(a, b) for a, b in zip(world.columns().values(), again.columns().values(), strict=True))


def gym_run(seed: int = 0, source: str = "episode_return", every: str = "step", **more: Any) -> RunSettings:
    signal = SignalSettings(source=source, every=every)
    settings = {"env": CARTPOLE, "agent": A2CSettings(n_steps=8), "steps": 800, "lr": 1e-3, "optimizer": "adam", **more}
    return run_settings(seed, Kelly(temp=20.0), signal=signal, **settings)


def changes(columns: dict[str, Tensor]) -> Tensor:
    """Where the rate of the next row is another."""
    return columns["train/lr"][1:] != columns["train/lr"][:-1]


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("every", ["step", "update"])
def test_episode_returns_are_heard_when_episodes_finish(runs: int, every: str) -> None:
    columns = columns_of([gym_run(seed, every=every) for seed in range(runs)])
    finished = ~columns["charts/episodic_return"].isnan()
    signal = columns["train/signal"]
    assert finished.any() and not finished.all()
    assert torch.equal(signal.nan_to_num(-1.0), columns["charts/episodic_return"].nan_to_num(-1.0))
    assert torch.equal(changes(columns), finished[:-1])


@pytest.mark.parametrize("runs", [1, 3])
def test_a_rollout_with_several_steps_hears_its_episodes_once(runs: int) -> None:
    agent = PPOSettings(n_steps=32, batch_size=16, n_epochs=3)
    columns = columns_of([gym_run(seed, agent=agent) for seed in range(runs)])
    assert torch.equal(columns["train/signal"].nan_to_num(-1.0), columns["charts/episodic_return"].nan_to_num(-1.0))
    gain = 1 + 0.2 * torch.tanh(columns["charts/episodic_return"] / 20)
    expected = torch.where(gain.isnan(), 1.0, gain)
    assert ((columns["train/lr"][0] / 1e-3 - expected[0]).abs() < 1e-9).all(), "heard after the first of 12 steps"
    torch.testing.assert_close(columns["train/lr"][1:] / columns["train/lr"][:-1], expected[1:], rtol=1e-9, atol=0)


@pytest.mark.parametrize("runs", [1, 3])
def test_rollout_rewards_are_raw_and_heard_always(runs: int) -> None:
    env = GymSettings(id="CartPole-v1", num_envs=2, normalize_reward=True)
    columns = columns_of([gym_run(seed, "rollout_reward", env=env) for seed in range(runs)])
    assert (columns["train/signal"] == 1.0).all() and not (columns["train/reward"] == 1.0).any()
    assert changes(columns).all()


@pytest.mark.parametrize("runs", [1, 3])
def test_an_evaluation_is_heard_once(runs: int) -> None:
    evaluation = EvaluationSettings(every=160, episodes=2)
    columns = columns_of([gym_run(seed, "eval_return", "update", eval=evaluation) for seed in range(runs)])
    evaluated = ~columns["eval/return"].isnan()
    assert evaluated.sum(0).tolist() == [5] * runs
    assert torch.equal(columns["train/signal"].nan_to_num(-1), columns["eval/return"].nan_to_num(-1))
    assert torch.equal(changes(columns), evaluated[:-1])


def test_returns_of_a_bandit_are_its_rewards() -> None:
    plain = columns_of([run_settings(env=GaussianBanditSettings(num_envs=3))])
    has_reward = columns_of(
        [run_settings(env=GaussianBanditSettings(num_envs=3), signal=SignalSettings(source="episode_return"))]
    )
    torch.testing.assert_close(has_reward["train/signal"], has_reward["train/reward"], rtol=1e-12, atol=0)
    assert set(plain) == set(has_reward), "a bandit has no rollouts to show"


def test_a_pending_observation_survives_a_checkpoint() -> None:
    def script(count: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
        yield GradientStep(square(parameters), reward, count)

    run = run_settings(agent=ScriptedSettings(script=script), signal=SignalSettings(source="rollout_reward"), steps=20)
    states: list[Any] = []
    whole = columns_of([run], save=states.append, save_every=10)
    rest = columns_of([run], state=states[0])
    assert torch.equal(whole["train/signal"][10:], rest["train/signal"])


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="signal.source must be one of .* got 'reword' .did you mean 'reward'"):
        SignalSettings(source="reword")
    with pytest.raises(ValueError, match="signal.every"):
        SignalSettings(every="steps")
    with pytest.raises(ValueError, match="eval.every a number of steps"):
        run_settings(signal=SignalSettings(source="eval_return"))


def test_an_environment_that_breaks_fails_its_run_alone() -> None:
    env = GymSettings(id="rasched-test/Breaking-v0", module="tests.envs.gym_test_envs", num_envs=2)
    runs = [gym_run(seed, env=env, steps=64) for seed in range(6)]
    rows: list[Any] = []
    endings = train_runs(runs, lambda step, columns: rows.append((step, columns)))
    failed = [run for run, ending in enumerate(endings) if ending.error]
    assert 0 < len(failed) < 6
    for run in failed:
        assert endings[run].error == "environment rasched-test/Breaking-v0 returned the observation nan at its step 5"
        assert all(isnan(columns["train/lr"][run]) for step, columns in rows if step > endings[run].steps)
    sane = [run for run in range(6) if run not in failed]
    alone = columns_of([runs[run] for run in sane])
    assert torch.equal(torch.stack([columns["train/loss"][sane].double() for _, columns in rows]), alone["train/loss"])
    (ending,) = train_runs([runs[failed[0]]], lambda step, columns: None)
    assert ending.error == endings[failed[0]].error
