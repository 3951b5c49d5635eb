"""The public contract check passes every rule of ours, and finds each way to break the contract."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from rasched.numerics import Real, exp, logical_and, logical_not, logical_or, where
from rasched.rules import RULES, KLAdaptive, RateBandit, Rule, SearchHold, check_rule, context, shared, state

RULES_AND_VARIANTS = [
    *(RULES.get(name)() for name in RULES.names()),
    KLAdaptive(slow_start=False, reward_hold=False, target_kl=0.008),
    KLAdaptive(slow_start=True, reward_hold=False),
    RateBandit(block=2.0, corrected=True),
    SearchHold(threshold=2.0, search=0.3),
]


@pytest.mark.parametrize("rule", RULES_AND_VARIANTS, ids=repr)
def test_every_rule_keeps_the_contract(rule: Rule) -> None:
    check_rule(rule)


@dataclass(slots=True)
class Broken(Rule):
    """A rule with a switch for each law that it can break."""

    law: str = "none"
    total: Real = state(0.0)
    size: int = shared(1)
    window: Any = state((), length="size")

    def observe(self, signal: Any) -> None:
        if self.law == "raises" and signal == signal and abs(signal) > 1e300:
            raise OverflowError
        if self.law == "batch" and isinstance(signal, torch.Tensor):
            signal = signal * 2.0
        if self.law == "in place":
            self.window = self.window or [0.0]
            self.window[0] = signal
        self.total = self.total * 0.5 + 0.0 * signal + where(signal > 0.0, 0.1, 0.0) * (1.0 + (signal > 1.5))

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        if self.law == "impure":
            self.total = self.total + 1.0
        if self.law == "nan":
            return lr * float("nan")
        return base_lr * exp(self.total)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("raises", "raises OverflowError"),
        ("batch", "a batch of"),
        ("in place", "in place"),
        ("impure", "differs from call to call|changes the rule's state"),
        ("nan", "not a number"),
    ],
)
def test_a_rule_that_breaks_a_law_is_told_which(law: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_rule(Broken(law=law))


def test_a_rule_that_breaks_no_law_passes() -> None:
    check_rule(Broken())


@dataclass(slots=True)
class Bounded(KLAdaptive):
    """A rule that inherits from a rule with slots, and adds a setting, state and a fact about the run."""

    extra_margin: Real = 0.5
    num_calls: Real = state(0.0)
    horizon: Real = context(0.0)

    def observe(self, signal: Real, kl: Real = float("nan")) -> None:
        KLAdaptive.observe(self, signal, kl)
        self.num_calls = self.num_calls + 1.0


class Plain(KLAdaptive):
    """A subclass without a decorator."""

    extra_signals: ClassVar[tuple[str, ...]] = ("kl",)


@pytest.mark.parametrize("cls", [Bounded, Plain])
def test_a_rule_may_inherit_from_a_rule_with_slots(cls: type[Rule]) -> None:
    rule = cls()
    assert rule.name == cls.__name__.lower()
    check_rule(rule)


def test_a_setting_of_a_subclass_is_checked() -> None:
    with pytest.raises(ValueError, match="target_kl must be above 0"):
        Bounded(target_kl=-1.0)


def test_facts_about_the_run_are_neither_settings_nor_state() -> None:
    rule = Bounded()
    rule.set_context(horizon=7.0, min_factor=0.5, nothing_of_that_name=1.0)
    assert (rule.horizon, rule.min_factor) == (7.0, 0.5)
    assert "horizon" not in repr(rule)


@pytest.mark.parametrize("x", [True, False])
@pytest.mark.parametrize("y", [True, False])
def test_conditions_combine_for_one_run_and_for_many(x: bool, y: bool) -> None:
    many = torch.tensor([x]), torch.tensor([y])
    assert logical_and(x, y) is (x and y) and bool(logical_and(*many)) is (x and y)
    assert logical_or(x, y) is (x or y) and bool(logical_or(*many)) is (x or y)
    assert logical_not(x) is (not x) and bool(logical_not(many[0])) is (not x)


def test_exp_of_a_large_number_is_infinite_for_one_run_and_for_many() -> None:
    for x in (-800.0, 0.5, 709.0, 710.0, float("inf")):
        assert exp(x) == pytest.approx(exp(torch.tensor([x], dtype=torch.float64)).item(), rel=1e-15)


def test_a_choice_between_two_numbers_is_float64_for_many_runs() -> None:
    chosen = where(torch.tensor([True, False]), 0.1, 0.2)
    assert chosen.tolist() == [0.1, 0.2]  # type: ignore[union-attr]
