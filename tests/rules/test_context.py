"""What a rule can read of the run, and what it inherits from another rule."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from optimizers import lrs, sgd, snapshot

from rasched import RewardAdaptiveScheduler
from rasched.numerics import Real
from rasched.rules import Kelly, Rule, Trend
from rasched.stacking import context, stack, state, state_dict, unstack


@dataclass(slots=True)
class Planner(Rule):
    """Go from the base rate to the upper bound over the run."""

    needs_horizon: ClassVar[bool] = True
    num_calls: Real = state(0.0)
    horizon: Real = context(0.0)
    min_factor: Real = context(0.0)
    max_factor: Real = context(0.0)

    def observe(self, signal: Real) -> None:
        self.num_calls = self.num_calls + 1.0

    def next_lr(self, lr: Real, base_lr: Real) -> Real:
        return base_lr * (1.0 + (self.max_factor - 1.0) * self.num_calls / self.horizon)


def test_a_rule_reads_horizon_and_bounds_before_the_first_observation() -> None:
    optimizer = sgd(0.1, 0.2)
    scheduler = RewardAdaptiveScheduler(optimizer, Planner(), horizon=4, min_lr=[0.05, 0.02], max_lr=[0.2, 0.6])
    rule: Any = scheduler.rule
    assert (rule.horizon, rule.min_factor, rule.max_factor) == (4.0, pytest.approx(0.1), pytest.approx(3.0))
    scheduler.observe(0.0)
    assert lrs(optimizer) == pytest.approx([0.15, 0.3])


def test_the_current_rate_of_a_rule_is_the_clipped_one() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1), Kelly(gain=0.5), max_lr=0.11)
    scheduler.observe(10.0)
    scheduler.observe(-10.0)
    assert scheduler.get_lr() == pytest.approx([0.055])


def test_a_group_added_later_widens_the_bounds_that_a_rule_reads() -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, Planner(), horizon=4, min_lr=0.01, max_lr=1.0)
    optimizer.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 0.02})
    scheduler.get_lr()
    rule: Any = scheduler.rule
    assert (rule.min_factor, rule.max_factor) == (pytest.approx(0.1), pytest.approx(50.0))


def test_a_rule_that_plans_over_the_run_is_refused_without_a_horizon() -> None:
    optimizer = sgd(0.1)
    with pytest.raises(ValueError, match="horizon"):
        RewardAdaptiveScheduler(optimizer, Planner())
    assert "initial_lr" not in optimizer.param_groups[0]


def test_context_is_neither_a_setting_nor_state() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1), Planner(), horizon=9)
    assert state_dict(scheduler.rule) == {"num_calls": 0.0}
    assert repr(scheduler.rule) == "Planner()"
    fresh = RewardAdaptiveScheduler(sgd(0.1), Planner(), horizon=9)
    scheduler.observe(1.0)
    fresh.load_state_dict(scheduler.state_dict())
    assert snapshot(fresh) == snapshot(scheduler)
    stacked: Any = stack([Planner(), Planner()])
    stacked.set_context(horizon=torch.tensor([2.0, 4.0]))
    assert unstack(stacked, 1).horizon == 4.0


@pytest.mark.parametrize("rule", ["kelly", "none", "scaling", "trend", "variance"])
def test_the_five_rules_ignore_the_horizon(rule: str) -> None:
    ours, control = RewardAdaptiveScheduler(sgd(0.1), rule, horizon=3), RewardAdaptiveScheduler(sgd(0.1), rule)
    for reward in (0.5, -0.25, None, 1.0, 0.75):
        ours.observe(reward)
        control.observe(reward)
    assert ours.get_lr() == control.get_lr()


@dataclass(slots=True)
class Cautious(Kelly):
    """Kelly that halves the rate after a bad reward and refuses a terrible one."""

    worst: float = -5.0
    num_bad: Real = state(0.0)

    def observe(self, signal: Any) -> None:
        super().observe(signal)
        if signal < self.worst:
            raise ArithmeticError("terrible")
        self.num_bad = self.num_bad + (1.0 if signal < 0 else 0.0)

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        return super().next_lr(lr, base_lr) * 0.5**self.num_bad


def test_a_rule_that_extends_a_rule_with_slots_works() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1), Cautious(gain=0.5))
    kelly = RewardAdaptiveScheduler(sgd(0.1), Kelly(gain=0.5))
    scheduler.observe(1.0)
    kelly.observe(1.0)
    assert scheduler.get_lr() == kelly.get_lr()
    scheduler.observe(-1.0)
    kelly.observe(-1.0)
    assert scheduler.get_lr() == [kelly.get_lr()[0] * 0.5]
    assert repr(scheduler.rule) == "Cautious(gain=0.5, temp=1.0, worst=-5.0)"
    with pytest.raises(ValueError, match=r"cautious_gain must be in \(0, 1\), got 2"):
        Cautious(gain=2)


def test_the_promise_not_to_raise_is_not_inherited_by_new_code() -> None:
    assert Kelly.never_raises and not Cautious.never_raises
    scheduler = RewardAdaptiveScheduler(sgd(0.1), Cautious(), normalize="center", ema_reward_beta=0.5)
    scheduler.observe(1.0)
    before = snapshot(scheduler)
    with pytest.raises(ArithmeticError):
        scheduler.observe(-1e9)
    assert snapshot(scheduler) == before


def test_an_extension_without_new_code_keeps_the_promise() -> None:
    @dataclass(slots=True)
    class Steeper(Trend):
        up: float = 1.5

    assert Steeper.never_raises and Steeper().up == 1.5 and Steeper.name == "steeper"
