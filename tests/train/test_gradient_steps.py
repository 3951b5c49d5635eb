"""Laws of an update: clipping and standing still are each run's own, and one experience is one row."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import isnan
from typing import Any

import pytest
import torch
from torch import Tensor

from rasched.agents import GradientStep
from rasched.envs import GaussianBanditSettings
from rasched.train.learner import BATCHABLE_OPTIMIZERS, BatchedLearner, clip_grad_norm_per_run
from rasched.train.settings import SignalSettings
from tests.run_factories import columns_of, run_settings, train_runs
from tests.scripted import Scripted, ScriptedSettings, square

MOMENTUM = {"sgd": {"momentum": 0.9}, "adam": {"amsgrad": True}, "rmsprop": {"momentum": 0.9, "centered": True}}


def test_each_run_is_clipped_as_torch_clips_it_alone() -> None:
    random = torch.Generator().manual_seed(0)
    scale = torch.tensor([0.1, 1.0, 10.0, 0.5, 3.0])  # norms on both sides of the limit
    gradients = [
        torch.randn(5, 3, 4, generator=random) * scale.view(5, 1, 1),
        torch.randn(5, 7, generator=random) * scale.view(5, 1),
    ]
    expected = []
    for run in range(5):
        alone = [torch.zeros_like(g[run]).requires_grad_() for g in gradients]
        for p, g in zip(alone, gradients, strict=True):
            p.grad = g[run].clone()
        torch.nn.utils.clip_grad_norm_(alone, 5.0)
        expected.append([p.grad for p in alone])
    together = [torch.zeros_like(g).requires_grad_() for g in gradients]
    for p, g in zip(together, gradients, strict=True):
        p.grad = g.clone()
    clip_grad_norm_per_run(together, 5.0)
    clipped = [p.grad for p in together]
    for run in range(5):
        for ours, torchs in zip(clipped, expected[run], strict=True):
            torch.testing.assert_close(ours[run], torchs)
    assert any(torch.equal(clipped[0][run], gradients[0][run]) for run in range(5)), "short gradients are left alone"
    assert not torch.equal(clipped[1], gradients[1])


@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
def test_a_clipped_run_in_a_batch_equals_the_run_alone(max_grad_norm: float | None) -> None:
    def script(count: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
        yield GradientStep(square(parameters), reward, count, max_grad_norm=max_grad_norm)

    runs = [run_settings(seed=s, agent=ScriptedSettings(script=script), lr=0.01) for s in range(3)]
    together = columns_of(runs)
    for i, run in enumerate(runs):
        alone = columns_of([run])
        torch.testing.assert_close(together["train/loss"][:, i], alone["train/loss"][:, 0], rtol=1e-9, atol=0)


@pytest.mark.parametrize("optimizer", BATCHABLE_OPTIMIZERS)
def test_a_run_that_stands_still_keeps_parameters_and_moments(optimizer: str) -> None:
    runs = [run_settings(seed=s, optimizer=optimizer, options=MOMENTUM.get(optimizer)) for s in range(4)]
    world = GaussianBanditSettings().make(range(4))
    agent = Scripted(lambda *_: iter(()), world, range(4))
    learner = BatchedLearner(runs, agent.parameters)
    active = torch.tensor([True, False, True, False])
    for step in range(4):
        before = copy.deepcopy([p.detach() for p in agent.parameters])
        moments = copy.deepcopy(learner._copy_moments())
        loss = learner.step(
            GradientStep(square(agent.parameters), torch.zeros(4), step, active=active if step else None)
        )
        assert torch.equal(loss.isnan(), ~active & (step > 0))
        if step:
            for p, old in zip(agent.parameters, before, strict=True):
                assert torch.equal(p[~active], old[~active])
                assert not (p[active] == old[active]).any()
            for now, old in zip(learner._copy_moments(), moments, strict=True):
                assert all(torch.equal(now[name][~active], old[name][~active]) for name in now)


def test_an_active_neighbour_changes_nothing() -> None:
    def script(count: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
        active = torch.tensor([(count + first) % 3 > 0 for first in parameters[0].detach()[:, 0, 0].floor().long()])
        yield GradientStep(square(parameters), reward, count, active=active)

    def runs(seeds: list[int]) -> dict[str, Tensor]:
        agent = ScriptedSettings(script=script)
        return columns_of([run_settings(seed=s, agent=agent, optimizer="adamw", lr=1e-3) for s in seeds])

    few, many = runs([0, 1, 2]), runs([5, 2, 1, 0, 4, 4])
    for name, values in few.items():
        assert torch.equal(values.nan_to_num(9.0), many[name][:, [3, 2, 1]].nan_to_num(9.0)), name
    assert few["train/loss"].isnan().any() and not few["train/loss"].isnan().all()


def rollouts(steps_each: int, resumable_last: bool = True) -> ScriptedSettings:
    def script(count: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
        for i in range(steps_each):
            once = i if i == 1 else torch.nan
            metrics = {"kl": torch.full_like(reward, i), "explained": torch.full_like(reward, once)}
            last = i == steps_each - 1 and resumable_last
            yield GradientStep(square(parameters), reward, count, metrics=metrics, is_last_of_rollout=last)

    return ScriptedSettings(script=script)


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("resumable_last", [True, False])
def test_several_steps_on_one_experience_are_one_row(runs: int, resumable_last: bool) -> None:
    agent = rollouts(4, resumable_last)
    settings = [run_settings(seed=s, agent=agent, lr=0.01, steps=20) for s in range(runs)]
    steps: list[int] = []
    train_runs(settings, lambda step, columns: steps.append(step))
    assert steps == list(range(1, 21))
    columns = columns_of(settings)
    assert (columns["train/kl"] == 1.5).all() and (columns["train/explained"] == 1.0).all()


def test_a_row_has_the_rate_of_its_last_step() -> None:
    once = columns_of([run_settings(agent=rollouts(4), lr=0.01, signal=SignalSettings(every="update"))])
    each = columns_of([run_settings(agent=rollouts(4), lr=0.01, signal=SignalSettings(every="step"))])
    gain = 1 + 0.2 * torch.tanh(once["train/reward"][:-1])
    torch.testing.assert_close(once["train/lr"][1:] / once["train/lr"][:-1], gain, rtol=1e-9, atol=0)
    assert (each["train/lr"][0] == 0.01 * (1 + 0.2 * torch.tanh(each["train/reward"][0])) ** 3).all()


def test_checkpoints_fall_between_experiences() -> None:
    run = run_settings(agent=rollouts(3), lr=0.01, steps=30)
    states: list[Any] = []
    whole = columns_of([run], save=states.append, save_every=7)
    assert [state["step"] for state in states] == [7, 14, 21, 28, 30]
    rest = columns_of([run], state=states[1])
    for name, values in whole.items():
        assert torch.equal(values[14:], rest[name]), name


def test_a_run_that_was_done_stays_as_it_is() -> None:
    run = run_settings(steps=10)
    states: list[Any] = []
    train_runs([run], lambda *_: None, save=states.append)
    rows: list[int] = []
    (ending,) = train_runs([run], lambda step, columns: rows.append(step), state=states[-1])
    assert rows == [] and ending.steps == 10 and ending.error is None


def test_a_single_run_that_stands_still_hears_nothing() -> None:
    def script(count: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
        yield GradientStep(square(parameters), reward, count, active=torch.tensor([count % 2 == 0]))

    rows: list[dict[str, float]] = []
    run = run_settings(agent=ScriptedSettings(script=script), steps=10)
    train_runs([run], lambda _, columns: rows.append(dict(columns)))
    assert [isnan(row["train/loss"]) for row in rows] == [True, False] * 5
    assert [isnan(row["train/signal"]) for row in rows] == [True, False] * 5
