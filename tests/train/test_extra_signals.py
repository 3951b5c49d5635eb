"""A rule that needs a second signal gets it from the agent, alone and in a batch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from rasched.agents import DQNSettings, GradientStep
from rasched.numerics import BoolLike, Real, maximum, where
from rasched.rules import Kelly, Rule
from rasched.stacking import context, state
from rasched.train.settings import RunSettings, SignalSettings
from tests.run_factories import columns_of, run_settings
from tests.scripted import ScriptedSettings, square


@dataclass(slots=True)
class Brake(Rule):
    """Halve the rate if the second signal is above a limit, raise it otherwise; NaN leaves it."""

    extra_signals: ClassVar[tuple[str, ...]] = ("kl",)
    limit: Real = 0.5
    factor: Real = state(1.0)

    def observe(self, signal: Real, kl: Real) -> None:
        self.factor = where(kl == kl, where(kl > self.limit, 0.5, 1.25), 1.0) * (1.0 + 1e-3 * signal)

    def observe_missing(self, kl: Real) -> BoolLike:
        self.factor = where(kl > self.limit, 0.75, 1.0)
        return True

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return lr * self.factor


@dataclass(slots=True)
class Countdown(Rule):
    """Lower the rate in a straight line over the run."""

    needs_horizon: ClassVar[bool] = True
    num_calls: Real = state(0.0)
    horizon: Real = context(1.0)
    min_factor: Real = context(0.0)

    def observe(self, signal: Real) -> None:
        self.num_calls = self.num_calls + 1.0

    def observe_missing(self) -> BoolLike:
        self.num_calls = self.num_calls + 1.0
        return True

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * maximum(1.0 - self.num_calls / self.horizon, self.min_factor)


def with_kl(iteration: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
    """Two gradient steps per environment step; the second has no `kl`, and every third has no reward in some runs."""
    kl = (reward * 7.0).sin()
    has_reward = reward > 0 if iteration % 3 == 0 else None
    for index in range(2):
        signals = {"kl": kl.float(), "entropy": kl} if index == 0 else {}
        loss = square(parameters)
        yield GradientStep(loss, reward, iteration, has_reward, is_last_of_rollout=index == 1, signals=signals)


@dataclass(frozen=True, kw_only=True)
class GivesKL(ScriptedSettings):
    signals: ClassVar[tuple[str, ...]] = ("kl", "entropy")


def runs_of(rule: Rule, **settings: Any) -> list[RunSettings]:
    runs = [run_settings(seed=seed, rule=rule, agent=GivesKL(script=with_kl), lr=1e-3, **settings) for seed in range(4)]
    return [runs[0], replace(runs[1], rule=Kelly()), *runs[2:]]


@pytest.mark.parametrize("every", ["step", "update"])
@pytest.mark.parametrize("rule", [Brake(), Countdown()], ids=lambda rule: rule.name)
def test_a_run_in_a_batch_has_the_rates_of_the_run_alone(rule: Rule, every: str) -> None:
    runs = runs_of(rule, signal=SignalSettings(normalize="center", every=every))
    together = columns_of(runs)["train/lr"]
    for index, run in enumerate(runs):
        assert torch.equal(columns_of([run], batched=True)["train/lr"][:, 0], together[:, index])
        assert columns_of([run])["train/lr"][:, 0].tolist() == pytest.approx(together[:, index].tolist(), rel=1e-9)
    assert len(together[:, 0].unique()) > 20


def with_broken_rewards(iteration: int, reward: Tensor, parameters: list[Tensor]) -> Iterator[GradientStep]:
    """Every fifth step may have no reward; the others may have one that is not finite."""
    if iteration % 5 == 0:
        yield GradientStep(square(parameters), reward, iteration, reward > -1)
    else:
        yield GradientStep(square(parameters), torch.where(reward > 0.5, torch.nan, reward), iteration)


@pytest.mark.parametrize("rule", [Countdown(), Kelly()], ids=lambda rule: rule.name)
def test_a_skipped_reward_is_no_call_alone_and_in_a_batch(rule: Rule) -> None:
    signal = SignalSettings(normalize="center", on_nonfinite="skip")
    agent = ScriptedSettings(script=with_broken_rewards)
    runs = [run_settings(seed=seed, rule=rule, agent=agent, lr=1e-3, signal=signal) for seed in range(4)]
    runs[1] = replace(runs[1], rule=Kelly())
    together = columns_of(runs)
    is_broken = together["train/reward"].isnan() & (torch.arange(1, 61)[:, None] % 5 != 0)
    assert 4 < is_broken.sum(0).min() < is_broken.sum(0).max() < 55
    for index, run in enumerate(runs):
        alone, batched = columns_of([run]), columns_of([run], batched=True)
        for name in ("train/lr", "train/signal"):
            ours = together[name][:, index]
            assert torch.equal(batched[name][:, 0].nan_to_num(-9.0), ours.nan_to_num(-9.0))
            assert alone[name][:, 0].tolist() == pytest.approx(ours.tolist(), rel=1e-9, nan_ok=True)
        lr, was_broken = together["train/lr"][:, index], is_broken[:-1, index]
        assert torch.equal(lr[1:][was_broken], lr[:-1][was_broken])
        if run.rule == Countdown():  # the share of the run that is over, though fewer calls came than planned
            expected = 1e-3 * (1 - torch.arange(1, 60).double() / 60)
            torch.testing.assert_close(lr[1:][~was_broken], expected[~was_broken], rtol=1e-9, atol=0)


def test_the_rule_gets_the_agents_signal_and_nan_if_a_step_has_none() -> None:
    seen: list[float] = []

    @dataclass(slots=True)
    class Recorder(Brake):
        def observe(self, signal: Real, kl: Real) -> None:
            assert type(kl) is float
            seen.append(kl)
            super().observe(signal, kl)

    run = run_settings(rule=Recorder(), agent=GivesKL(script=with_kl), lr=1e-3, signal=SignalSettings(), steps=7)
    rewards = columns_of([run])["train/reward"].flatten()
    has_reward = torch.tensor([t % 3 != 0 or rewards[t - 1] > 0 for t in range(1, 8)])
    assert torch.tensor(seen[::2]).tolist() == (rewards * 7.0).sin().float()[has_reward].tolist()
    assert all(map(isnan, seen[1::2]))


def test_a_schedule_over_the_run_ends_at_its_end() -> None:
    run = run_settings(rule=Countdown(), agent=GivesKL(script=with_kl), lr=0.1, steps=50)
    rates = columns_of([run])["train/lr"].flatten().tolist()  # of the second gradient step of each environment step
    assert rates == pytest.approx([max(0.1 * (1 - t / 50), 1e-3) for t in range(1, 51)], rel=1e-9)


def test_a_rule_whose_signal_the_agent_does_not_give_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"rule=brake needs the signal kl, which agent=\w+ does not give \(its"):
        run_settings(rule=Brake(), agent=DQNSettings())
    run_settings(rule=Brake(), agent=GivesKL(script=with_kl))
