"""The rule is a name with settings, a value, or an instance of a user's class."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from optimizers import lrs, sgd, snapshot

from rasched import RewardAdaptiveScheduler
from rasched.rules import Kelly, Rule, Scaling, Trend
from rasched.stacking import state


@dataclass(slots=True)
class Halve(Rule):
    """A user's rule, registered nowhere."""

    by: float = 2.0

    def observe(self, signal: Any) -> None:
        pass

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        return lr / self.by


def trace(scheduler: RewardAdaptiveScheduler) -> list[list[float]]:
    out = []
    for reward in (0.3, -0.2, 0.9, 0.1):
        scheduler.observe(reward)
        out.append(scheduler.get_lr())
    return out


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Kelly(gain=0.3, temp=2.0), {"rule": "kelly", "kelly_gain": 0.3, "kelly_temp": 2.0}),
        (Kelly(), {"rule": "kelly"}),
        (Trend(up=1.5, down=0.4), {"rule": "trend", "trend_up": 1.5, "trend_down": 0.4}),
        (Scaling(center=0.2, span=3), {"rule": "scaling", "scaling_center": 0.2, "scaling_span": 3}),
    ],
    ids=lambda p: type(p).__name__,
)
def test_a_rule_as_value_is_the_same_as_by_name(value: Rule, named: dict[str, Any]) -> None:
    ours, theirs = RewardAdaptiveScheduler(sgd(0.1, 0.2), rule=value), RewardAdaptiveScheduler(sgd(0.1, 0.2), **named)
    assert trace(ours) == trace(theirs)
    assert ours.state_dict() == theirs.state_dict()


def test_a_rule_as_value_is_copied() -> None:
    value = Trend(up=1.5, down=0.5)
    first, second = (RewardAdaptiveScheduler(sgd(0.1), rule=value) for _ in range(2))
    assert (
        trace(first) == trace(second) == trace(RewardAdaptiveScheduler(sgd(0.1), "trend", trend_up=1.5, trend_down=0.5))
    )
    assert value == Trend(up=1.5, down=0.5)


@pytest.mark.parametrize("value", [Kelly(), Trend(), Halve()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("keyword", [{"kelly_gain": 0.2}, {"kelly_temp": 1.0}, {"trend_up": 1.1}])
def test_a_rule_as_value_and_a_setting_by_keyword_exclude_one_another(value: Rule, keyword: dict[str, float]) -> None:
    with pytest.raises(TypeError, match=next(iter(keyword))):
        RewardAdaptiveScheduler(sgd(0.1), rule=value, **keyword)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", [3, None, object()])
def test_a_rule_of_another_type_is_a_type_error(rule: Any) -> None:
    with pytest.raises(TypeError, match="rule"):
        RewardAdaptiveScheduler(sgd(0.1), rule=rule)


def test_settings_of_other_rules_are_not_used() -> None:
    others = {"trend_up": 9.0, "trend_down": 0.1, "scaling_span": 5.0, "variance_alpha": 7.0, "variance_window": 2}
    assert trace(RewardAdaptiveScheduler(sgd(0.1), **others)) == trace(RewardAdaptiveScheduler(sgd(0.1)))


@pytest.mark.parametrize(
    ("typed", "meant"), [("kely", "kelly"), ("Kelly", "kelly"), ("varience", "variance"), ("trends", "trend")]
)
def test_an_unknown_rule_lists_the_known_ones_and_the_nearest_spelling(typed: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"did you mean '{meant}'\?") as error:
        RewardAdaptiveScheduler(sgd(0.1), rule=typed)
    assert repr(typed) in str(error.value)
    assert all(name in str(error.value) for name in ("kelly", "none", "scaling", "trend", "variance"))


def test_an_unknown_rule_like_no_other_gets_no_hint() -> None:
    with pytest.raises(ValueError, match="greedy, kelly, kl_adaptive, kl_search, linear, none") as error:
        RewardAdaptiveScheduler(sgd(0.1), rule="zzzzzz")
    assert "did you mean" not in str(error.value)


def test_a_users_own_rule_needs_no_registration() -> None:
    optimizer = sgd(0.1, 0.4)
    scheduler = RewardAdaptiveScheduler(optimizer, rule=Halve(by=4.0), min_lr=0.01, max_lr=1.0)
    scheduler.observe(0.0)
    assert lrs(optimizer) == [0.025, 0.1]
    scheduler.observe(0.0)
    assert lrs(optimizer) == [0.01, 0.025]  # clipped, group by group


def test_a_users_own_rule_goes_through_the_state() -> None:
    first = RewardAdaptiveScheduler(sgd(0.1), rule=Halve())
    trace(first)
    second = RewardAdaptiveScheduler(sgd(0.1), rule=Halve())
    second.load_state_dict(first.state_dict())
    assert snapshot(second) == snapshot(first)
    with pytest.raises(ValueError, match="[Hh]alve|kelly"):
        RewardAdaptiveScheduler(sgd(0.1)).load_state_dict(first.state_dict())


@dataclass(slots=True)
class Braked(Rule):
    """Needs a second signal, starts above the base rate, and lowers the rate on a step without a reward."""

    extra_signals: ClassVar[tuple[str, ...]] = ("kl",)
    factor: float = state(1.0)

    def initial_lr(self, base_lr: Any) -> Any:
        return base_lr * 2

    def observe(self, signal: Any, kl: Any) -> None:
        self.factor = 0.5 if kl > 1 else 1.5

    def observe_missing(self, kl: Any) -> bool:
        self.factor = 0.9
        return True

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        return lr * self.factor


def test_a_rule_may_need_a_second_signal_start_elsewhere_and_count_missing_rewards() -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, rule=Braked())
    assert lrs(optimizer) == [0.1]  # constructing writes nothing
    scheduler.observe(R=1.0, kl=torch.tensor(2.0))
    assert lrs(optimizer) == pytest.approx([0.1])
    scheduler.observe(R=1.0, kl=0.5)
    assert lrs(optimizer) == pytest.approx([0.15])
    scheduler.observe(None, kl=0.5)
    assert lrs(optimizer) == scheduler.get_lr() == pytest.approx([0.135])
    before = snapshot(scheduler)
    with pytest.raises(TypeError, match="kl"):
        scheduler.observe(R=1.0)
    assert snapshot(scheduler) == before


@dataclass(slots=True)
class NotANumber(Rule):
    """Gives no number for a rate."""

    def observe(self, signal: Any) -> None:
        pass

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        return float("nan")


def test_a_rate_that_is_no_number_is_never_written() -> None:
    optimizer = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, rule=NotANumber())
    before = snapshot(scheduler)
    with pytest.raises(ValueError, match="notanumber"):
        scheduler.observe(1.0)
    assert snapshot(scheduler) == before
