"""All groups' new rates are computed before the first is written: an exception leaves everything as it was."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from optimizers import lrs, momenta, sgd, snapshot

from rasched import RewardAdaptiveScheduler
from rasched.rules import Rule
from rasched.stacking import state


@dataclass(slots=True)
class Stumble(Rule):
    """Doubles rates, counts signals, and fails where its settings say so."""

    at_base: float = 0.0
    at_signal: float = 99.0
    count: float = state(0.0)

    def observe(self, signal: Any) -> None:
        self.count = self.count + 1
        if signal == self.at_signal:
            raise ArithmeticError("the rule cannot go on")

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        if base_lr == self.at_base and self.count == 2:
            raise ArithmeticError("no rate for this group")
        return lr * 2


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("rule", [Stumble(at_base=0.3), Stumble(at_signal=0.75)], ids=["next_lr", "observe"])
def test_a_failing_rule_leaves_everything_as_it_was(rule: Stumble, tensor: bool) -> None:
    rates = [torch.tensor(r, dtype=torch.float64) if tensor else r for r in (0.1, 0.2, 0.3)]
    optimizer = sgd(*rates, momentum=0.9)
    scheduler = RewardAdaptiveScheduler(
        optimizer, rule, adapt_momentum=True, normalize="standardize", ema_reward_beta=0.5
    )
    # Centred, 0.75 is no longer 0.75: the rule that fails at a signal gets it unprocessed.
    if rule.at_signal == 0.75:
        scheduler = RewardAdaptiveScheduler(optimizer, rule, adapt_momentum=True)
    scheduler.observe(0.5)
    before = snapshot(scheduler)
    for _ in range(2):  # twice: were the rule's count not put back, the second call would not fail
        with pytest.raises(ArithmeticError):
            scheduler.observe(0.75)
        assert snapshot(scheduler) == before
        assert lrs(optimizer) == pytest.approx([0.2, 0.4, 0.6])


def test_a_group_that_cannot_be_adopted_leaves_everything_as_it_was() -> None:
    optimizer, control = sgd(0.1, momentum=0.9), sgd(0.1, momentum=0.9)
    scheduler, other = (
        RewardAdaptiveScheduler(o, adapt_momentum=True, min_lr=0.01, max_lr=1.0) for o in (optimizer, control)
    )
    scheduler.observe(0.5)
    other.observe(0.5)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 5.0})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\b1\b.*5\.0|5\.0.*\b1\b"):
            scheduler.observe(0.5)
        assert (lrs(optimizer), momenta(optimizer)) == ([*lrs(control), 5.0], [*momenta(control), 0.9])
    optimizer.param_groups[1]["lr"] = 0.5  # the way out
    control.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.5})
    scheduler.observe(0.25)
    other.observe(0.25)
    assert snapshot(scheduler) == snapshot(other)
