"""Rules that estimate noise from neighbouring rewards are refused with processed ones, in one sentence."""

from typing import Any

import pytest
from optimizers import sgd

from rasched import RewardAdaptiveScheduler
from rasched.rules import RULES, KLAdaptive, KLSearch, Rule, SearchHold
from rasched.train.settings import SignalSettings
from tests.run_factories import run_settings

NEEDY = [SearchHold(), KLSearch(), KLAdaptive(), KLAdaptive(slow_start=False)]
SIGNALS: list[dict[str, Any]] = [{"normalize": "standardize"}, {"ema_reward_beta": 0.9}, {"normalize": "center"}]


@pytest.mark.parametrize("rule", NEEDY, ids=repr)
@pytest.mark.parametrize("signal", SIGNALS, ids=repr)
def test_processed_rewards_are_refused_with_the_way_out(rule: Rule, signal: dict[str, Any]) -> None:
    (name,) = signal
    optimizer = sgd(0.1)
    with pytest.raises(ValueError, match=f"rule {rule.name} needs raw rewards.* set {name}=None"):
        RewardAdaptiveScheduler(optimizer, rule=rule, **signal)
    assert "initial_lr" not in optimizer.param_groups[0]
    with pytest.raises(ValueError, match=rf"rule {rule.name} needs raw rewards.* set signal\.{name}=null"):
        run_settings(rule=rule, signal=SignalSettings(**signal))


def test_raw_rewards_and_other_rules_are_allowed() -> None:
    for rule in NEEDY:
        RewardAdaptiveScheduler(sgd(0.1), rule=rule)
        run_settings(rule=rule, signal=SignalSettings())
    others = [RULES.get(name)() for name in RULES.names()]
    for rule in [*others, KLAdaptive(reward_hold=False)]:
        if not rule.needs_raw_rewards:
            RewardAdaptiveScheduler(sgd(0.1), rule=rule, normalize="standardize", ema_reward_beta=0.9, horizon=10)


def test_a_rule_that_starts_elsewhere_does_so_after_apply() -> None:
    """Constructing writes nothing, so without ``apply`` the first step is taken at the base rate."""
    for rule in NEEDY[:3]:
        optimizer = sgd(0.1)
        scheduler = RewardAdaptiveScheduler(optimizer, rule=rule)
        assert optimizer.param_groups[0]["lr"] == 0.1 == scheduler.get_lr()[0]
        scheduler.apply()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001) == scheduler.get_lr()[0]
