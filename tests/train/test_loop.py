"""Laws of the loop: a run is the same in any batch, resumed or not, and fails alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from rasched.agents import ReinforceSettings
from rasched.envs import ENVS, EnvSettings, GaussianBanditSettings
from rasched.rules import Kelly
from rasched.train.learner import BATCHABLE_OPTIMIZERS
from rasched.train.settings import SchedulerSettings, SignalSettings
from tests.run_factories import columns_of, mixed, run_settings, train_runs

BANDITS = ["gaussian", "bernoulli", "drifting", "switching", "contextual"]
SWEEPS = [(env, "sgd") for env in BANDITS] + [
    ("gaussian", optimizer) for optimizer in BATCHABLE_OPTIMIZERS if optimizer != "sgd"
]


def make_env(name: str) -> EnvSettings:
    return ENVS.build({"name": name})


@pytest.mark.parametrize(("env", "optimizer"), SWEEPS)
def test_a_run_is_bit_for_bit_the_same_whatever_its_neighbours(env: str, optimizer: str) -> None:
    common: dict[str, Any] = {"env": make_env(env), "optimizer": optimizer, "steps": 40}
    few = mixed(7, **common)
    many = mixed(300, **common)
    order = list(range(300))
    random.Random(1).shuffle(order)
    in_few, in_many = columns_of(few), columns_of(many)
    shuffled = columns_of([many[i] for i in order])
    for name, values in in_few.items():
        assert torch.equal(values, in_many[name][:, :7]), name
        assert torch.equal(in_many[name], shuffled[name][:, torch.tensor(order).argsort()]), name


@pytest.mark.parametrize(("env", "optimizer"), SWEEPS)
def test_a_run_in_a_sweep_equals_the_run_alone(env: str, optimizer: str) -> None:
    """Alone it is torch's own optimizer: the same draws, and rates that agree until the first different arm."""
    runs = mixed(14, env=make_env(env), optimizer=optimizer, steps=100)
    together = columns_of(runs)
    for i, run in enumerate(runs):
        alone = columns_of([run])
        for name, values in alone.items():
            torch.testing.assert_close(
                together[name][:, i], values[:, 0], rtol=1e-9, atol=1e-12, msg=f"{name} of run {i}"
            )


@pytest.mark.parametrize("env", BANDITS)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_resumed_run_goes_on_bit_for_bit(env: str, optimizer: str) -> None:
    run = run_settings(env=make_env(env), optimizer=optimizer, steps=120)
    states: list[Any] = []
    whole = columns_of([run], save=states.append, save_every=50)
    assert [state["step"] for state in states] == [50, 100, 120]
    rest = columns_of([run], state=states[0])
    for name, values in whole.items():
        assert torch.equal(values[50:], rest[name]), name


def test_another_seed_is_another_run() -> None:
    one, other = columns_of([run_settings(seed=0)]), columns_of([run_settings(seed=1)])
    assert not torch.equal(one["train/reward"], other["train/reward"])


def test_the_logged_rate_is_the_one_that_the_step_used() -> None:
    columns = columns_of([run_settings(rule=Kelly(), lr=0.1)])
    lr, signal = columns["train/lr"][:, 0], columns["train/signal"][:, 0]
    assert lr[0] == 0.1
    expected = lr[:-1] * (1 + 0.2 * torch.tanh(signal[:-1]))
    torch.testing.assert_close(lr[1:], expected, rtol=1e-12, atol=0)


def test_copies_are_averaged_into_one_reward() -> None:
    columns = columns_of([run_settings(env=GaussianBanditSettings(num_envs=8), steps=80)])
    assert len(columns["train/reward"]) == 10
    assert columns["train/reward"].std() < 1.5


HUGE = {
    "env": GaussianBanditSettings(mean=1e10, mean_std=1e10),
    "agent": ReinforceSettings(baseline=False),
    "steps": 50,
}


def test_a_diverging_run_fails_alone() -> None:
    good = [run_settings(seed=s, lr=1e-10, **HUGE) for s in range(3)]
    bad = run_settings(seed=9, lr=1e305, **HUGE)
    expected = columns_of(good)
    rows: list[Any] = []
    endings = train_runs([*good[:2], bad, good[2]], lambda step, columns: rows.append(columns))
    assert [ending.error is None for ending in endings] == [True, True, False, True]
    failure, ended_at = endings[2].error, endings[2].steps
    assert failure is not None and "loss became" in failure and f"at step {ended_at}" in failure
    together = torch.stack([row["train/reward"] for row in rows])
    assert torch.equal(together[:, [0, 1, 3]], expected["train/reward"])
    assert together[ended_at:, 2].isnan().all() and not together[: ended_at - 1, 2].isnan().any()


def test_a_single_diverging_run_says_when() -> None:
    bad = run_settings(lr=1e305, **HUGE)
    rows: list[Any] = []
    (ending,) = train_runs([bad], lambda step, columns: rows.append(step))
    assert ending.error is not None and ending.steps == rows[-1] < bad.steps


@pytest.mark.parametrize("normalize", [None, "center", "standardize"])
@pytest.mark.parametrize("beta", [None, 0.5])
def test_every_form_of_the_signal_stacks(normalize: str | None, beta: float | None) -> None:
    runs = mixed(7, signal=SignalSettings(normalize=normalize, ema_reward_beta=beta))
    together = columns_of(runs)
    for i, run in enumerate(runs):
        alone = columns_of([run])
        torch.testing.assert_close(together["train/signal"][:, i], alone["train/signal"][:, 0], rtol=1e-9, atol=1e-12)


def test_momentum_is_recorded_where_it_moves() -> None:
    settings = SchedulerSettings(adapt_momentum=True)
    columns = columns_of([run_settings(optimizer="sgd", options={"momentum": 0.9}, scheduler=settings)])
    momentum = columns["train/momentum"][:, 0]
    assert momentum[0] == 0.9 and ((momentum >= 0.85) & (momentum <= 0.95)).all() and momentum.std() > 0
