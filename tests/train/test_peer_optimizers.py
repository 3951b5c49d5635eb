"""Published optimizers of other packages train a run, and evaluate the parameters that they return."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
import torch

from rasched.agents import PPOSettings
from rasched.envs import GymSettings
from rasched.rules import Kelly, NoRule
from rasched.train.batching import unbatchable_reason
from rasched.train.learner import SingleRunLearner
from rasched.train.loop import train
from rasched.train.optimizers import PEER_OPTIMIZERS, OptimizerSettings
from rasched.train.settings import EvaluationSettings
from tests.run_factories import columns_of, run_settings, train_runs

LRS = {"prodigy": 1.0, "adamwschedulefree": 0.0025, "sgdschedulefree": 1.0}
EVERY_PEER = pytest.mark.parametrize("name", PEER_OPTIMIZERS)


def peer_run(name: str, **more: Any) -> Any:
    pytest.importorskip(PEER_OPTIMIZERS[name][0])
    return run_settings(rule=NoRule(), optimizer=name, lr=LRS[name], **more)


@EVERY_PEER
def test_it_learns_a_bandit_and_cannot_be_batched(name: str) -> None:
    run = peer_run(name, steps=2000)
    regret = columns_of([run])["train/regret"][:, 0]
    assert regret[-500:].mean() < 0.8 * regret[:100].mean()
    assert f"optimizer {name} is not linear" in (unbatchable_reason(run) or "")


@EVERY_PEER
def test_a_resumed_run_goes_on_bit_for_bit(name: str) -> None:
    run, states = peer_run(name, steps=200), []
    straight = columns_of([run])["train/reward"]
    train_runs([run], save=states.append, save_every=90)
    resumed = columns_of([run], state=states[0])["train/reward"]
    assert 0 < len(resumed) < len(straight)
    assert torch.equal(resumed, straight[-len(resumed) :])


@pytest.mark.parametrize("name", ["adamwschedulefree", "sgdschedulefree"])
def test_an_evaluation_sees_the_averaged_parameters_and_changes_nothing(name: str) -> None:
    parameters = [torch.tensor([[1.0, -2.0]], requires_grad=True)]
    learner = SingleRunLearner(peer_run(name), parameters)  # type: ignore[arg-type]
    for _ in range(5):
        parameters[0].grad = 2 * parameters[0].detach()
        learner.optimizer.step()
    trained, z = parameters[0].detach().clone(), learner.optimizer.state[parameters[0]]["z"]
    with learner.evaluation_parameters():
        group = learner.optimizer.param_groups[0]
        beta = group["betas"][0] if "betas" in group else group["momentum"]
        average = (trained - (1 - beta) * z) / beta  # training is at the mixture (1 - beta) z + beta average
        assert torch.allclose(parameters[0], average) and not torch.equal(parameters[0], trained)
    assert torch.equal(parameters[0], trained) and learner.optimizer.param_groups[0]["train_mode"]


@EVERY_PEER
def test_evaluations_change_no_number_of_training(name: str) -> None:
    more: Any = {
        "env": GymSettings(id="CartPole-v1"),
        "agent": PPOSettings(n_steps=16, batch_size=8, n_epochs=1),
        "steps": 96,
    }
    plain = columns_of([peer_run(name, **more)])
    evaluated = columns_of([peer_run(name, **more, eval=EvaluationSettings(every=32, episodes=2))])
    assert evaluated["eval/return"].isfinite().any()
    for column in ("train/loss", "train/reward"):
        assert torch.equal(evaluated[column], plain[column])


def test_a_missing_package_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prodigyopt", None)
    with pytest.raises(ValueError, match=r"optimizer prodigy.*prodigyopt.*pip install 'rasched\[peers\]'"):
        OptimizerSettings(name="prodigy", lr=1.0)
    with pytest.raises(ValueError, match="did you mean 'prodigy'"):
        OptimizerSettings(name="prodgy", lr=1.0)


@EVERY_PEER
def test_it_trains_with_a_rule_too(name: str) -> None:
    run = peer_run(name, steps=50)
    (result,) = train([run])
    assert result.error is None
    rates = columns_of([run_settings(rule=Kelly(), optimizer=name, lr=LRS[name], steps=50)])["train/lr"]
    assert len(set(rates[:, 0].tolist())) > 10 and math.isfinite(rates.sum())
