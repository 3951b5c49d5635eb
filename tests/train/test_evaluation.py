"""Laws of evaluation: it is separate, deterministic, and each run's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rasched.agents import A2CSettings, AgentSettings, DQNSettings, PPOSettings
from rasched.agents.a2c import A2C as A2CLearner
from rasched.envs import GaussianBanditSettings, GymSettings
from rasched.train.evaluation import Evaluator
from rasched.train.loop import dry_construct
from rasched.train.settings import EvaluationSettings, RunSettings, SignalSettings
from tests.run_factories import columns_of, run_settings, train_runs
from tests.scripted import ScriptedSettings

AGENTS: dict[str, AgentSettings] = {
    "a2c": A2CSettings(),
    "ppo": PPOSettings(n_steps=32, batch_size=32, n_epochs=2),
    "dqn": DQNSettings(learning_starts=64, buffer_size=500, batch_size=16),
}
EVERY = EvaluationSettings(every=128, episodes=3)


def runs(agent: AgentSettings, seeds: list[int], evaluated: bool = True, **more: Any) -> list[RunSettings]:
    env = GymSettings(id="CartPole-v1", num_envs=2, normalize_observation=True)
    given = {"env": env, "agent": agent, "optimizer": "adam", "lr": 1e-3, "steps": 512, **more}
    return [run_settings(seed, eval=EVERY if evaluated else EvaluationSettings(), **given) for seed in seeds]


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_training_is_the_same_with_and_without(agent: AgentSettings) -> None:
    with_, without = (columns_of(runs(agent, [0, 1], evaluated)) for evaluated in (True, False))
    assert set(with_) - set(without) == {"eval/return"}
    for name, values in without.items():
        assert torch.equal(values.nan_to_num(-9.0), with_[name].nan_to_num(-9.0)), name


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_an_evaluation_is_the_same_whatever_runs_beside_it(agent: AgentSettings) -> None:
    few, many = columns_of(runs(agent, [0, 1])), columns_of(runs(agent, [7, 1, 5, 0, 3]))
    for name, values in few.items():
        assert torch.equal(values.nan_to_num(-9.0), many[name][:, [3, 1]].nan_to_num(-9.0)), name


def test_it_comes_when_a_multiple_has_been_passed_and_at_the_end() -> None:
    seen: list[int] = []

    def record(step: int, columns: Any) -> None:
        if columns["eval/return"] == columns["eval/return"]:
            seen.append(step)

    (run,) = runs(A2CSettings(n_steps=5), [0], steps=500)
    train_runs([run], lambda step, columns: record(step, {"eval/return": float("nan"), **columns}))
    assert seen == [130, 260, 390, 500]


def test_the_return_is_that_of_the_deterministic_policy() -> None:
    """One episode a copy, played here once more by hand."""
    settings = GymSettings(id="Pendulum-v1", num_envs=2, time_limit=20)
    env = settings.make([3, 4])
    agent = A2CSettings().make(env, [3, 4])
    evaluation = Evaluator(EvaluationSettings(every=1, episodes=4), env)
    first = evaluation.evaluate(agent, 1)
    second = evaluation.evaluate(agent, 2)
    make_eval_env = env.make_eval_env(4)
    make_eval_env.reset_for_evaluation(1)
    total, playing = torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool)
    while playing.any():
        outcome = make_eval_env.step(agent.act(make_eval_env.observation))
        total += playing * outcome.reward
        playing &= ~(outcome.terminated | outcome.truncated)
    torch.testing.assert_close(second, total.double().mean(1))
    assert not torch.allclose(first, second), "each evaluation begins elsewhere"


def test_a_resumed_run_is_evaluated_alike() -> None:
    (run,) = runs(A2CSettings(n_steps=8), [0])
    states: list[Any] = []
    whole = columns_of([run], save=states.append, save_every=200)
    rest = columns_of([run], state=states[0])
    passed = states[0]["step"] // 16
    for name, values in whole.items():
        assert torch.equal(values[passed:].nan_to_num(-9.0), rest[name].nan_to_num(-9.0)), name


def test_a_bandit_is_not_evaluated() -> None:
    with pytest.raises(ValueError, match="eval.every must be 0 with a bandit"):
        dry_construct(run_settings(env=GaussianBanditSettings(), eval=EVERY))


def test_an_agent_without_a_policy_to_evaluate_says_so_before_it_learns() -> None:
    agent = ScriptedSettings(script=lambda *_: iter(()))
    with pytest.raises(ValueError, match="Scripted.* no deterministic policy"):
        dry_construct(run_settings(env=GymSettings(id="CartPole-v1"), agent=agent, eval=EVERY))


def test_a_run_whose_environment_cannot_be_saved_keeps_its_weights_and_says_so() -> None:
    env = GymSettings(id="rasched-test/Sealed-v0", module="tests.envs.gym_test_envs")
    run = run_settings(env=env, agent=A2CSettings(), steps=20)
    states: list[Any] = []
    train_runs([run], lambda step, columns: None, save=states.append)
    assert states[0]["agent"]["parameters"]
    with pytest.raises(ValueError, match="can be repeated, but not resumed"):
        train_runs([run], lambda step, columns: None, state=states[0])


def test_an_episode_that_is_cut_off_is_over_too() -> None:
    """A walk of at most five steps: what is paid for later ones belongs to another episode."""
    env = GymSettings(id="rasched-test/Walk-v0", module="tests.envs.gym_test_envs", kwargs={"steps": 5}).make([0])

    class Still(A2CLearner):
        def act(self, observation: Tensor) -> Tensor:
            return torch.full((1, 3, 1), -0.5)

    agent = Still(A2CSettings(), env, [0])
    assert Evaluator(EvaluationSettings(every=1, episodes=3), env).evaluate(agent, 1).item() == -2.5


@pytest.mark.parametrize("source", ["reward", "eval_return"])
def test_an_environment_that_fails_in_an_evaluation_fails_its_run_alone(source: Any) -> None:
    env = GymSettings(id="rasched-test/Breaking-v0", module="tests.envs.gym_test_envs", kwargs={"share": 0.3})
    signal = SignalSettings(source=source, normalize=None)
    settings = {"env": env, "agent": A2CSettings(n_steps=2), "steps": 4, "signal": signal, "optimizer": "adam"}
    runs = [run_settings(seed, eval=EvaluationSettings(every=4, episodes=2), **settings) for seed in range(8)]
    results = train_runs(runs)
    errors = [result.error for result in results if result.error]
    assert 0 < len(errors) < 8
    assert set(errors) == {
        "in an evaluation, environment rasched-test/Breaking-v0 returned the observation nan at its step 5"
    }
    returns = columns_of(runs)["eval/return"][-1]
    assert returns.isnan().tolist() == [result.error is not None for result in results]
    for run, result, value in zip(runs, results, returns, strict=True):
        (alone,) = train_runs([run], batched=True)
        assert alone == result
        assert columns_of([run])["eval/return"][-1].item() == pytest.approx(value.item(), nan_ok=True)
