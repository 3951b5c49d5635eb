"""The laws that every registered rule keeps, so that a new rule is tested before its author writes a test."""

import copy
from dataclasses import fields
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rasched.rules import RULES, Rule, Variance, stack, unstack
from rasched.stacking import load_state_dict, restore_where_not, snapshot, state_dict

SIGNALS = st.lists(st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=3, max_size=3), min_size=1, max_size=25)
EVERY_RULE = pytest.mark.parametrize("name", RULES.names())


def varied(name: str, shift: float) -> Rule:
    """The rule with each float setting moved a little from its default, where its ranges allow that."""
    cls = RULES.get(name)
    defaults = {f.name: f.default for f in fields(cls) if f.init}  # type: ignore[arg-type]
    given = {key: value * (1 + shift) + abs(shift) / 10 for key, value in defaults.items() if isinstance(value, float)}
    return cls(**given)


def trio(name: str) -> list[Rule]:
    return [varied(name, shift) for shift in (0.0, 0.03, -0.02)]


def same(one: Any, other: Any) -> bool:
    """Equal field by field, tensors by value, NaN being equal to NaN."""
    if isinstance(one, Tensor):
        return (
            isinstance(other, Tensor)
            and one.dtype == other.dtype
            and torch.equal(one.nan_to_num(7e77), other.nan_to_num(7e77))
        )
    return type(one) is type(other) and bool(one == other)


@EVERY_RULE
@given(columns=SIGNALS, apart=st.integers(0, 5))
def test_a_stack_is_its_rules_one_by_one(name: str, columns: list[list[float]], apart: int) -> None:
    singles = trio(name)
    for row in columns[:apart]:  # stacked with different numbers of observations, too
        for rule, signal in list(zip(singles, row, strict=True))[: 1 + apart % 3]:
            rule.observe(signal)
    stacked_rule = stack(singles)
    base = torch.tensor([0.1, 0.5, 0.01], dtype=torch.float64)
    lr_stacked, lr = base, base.tolist()
    for row in columns:
        stacked_rule.observe(torch.tensor(row, dtype=torch.float64))
        lr_stacked = stacked_rule.next_lr(lr_stacked, base)  # type: ignore[assignment]
        for i, rule in enumerate(singles):
            rule.observe(row[i])
            lr[i] = rule.next_lr(lr[i], float(base[i]))  # type: ignore[assignment]
        assert isinstance(lr_stacked, Tensor) and lr_stacked.shape == (3,) and lr_stacked.dtype == torch.float64
        assert lr_stacked.tolist() == pytest.approx(lr, rel=1e-12)
    for i, rule in enumerate(singles):
        unstacked = unstack(stacked_rule, i)
        assert unstacked.next_lr(0.3, 0.2) == pytest.approx(rule.next_lr(0.3, 0.2), rel=1e-12)
        assert type(unstacked.next_lr(0.3, 0.2)) is float


@EVERY_RULE
@given(columns=SIGNALS, after=st.lists(st.integers(-8, 8).map(float), min_size=1, max_size=8))
def test_a_restored_rule_goes_on_bit_for_bit(name: str, columns: list[list[float]], after: list[float]) -> None:
    straight, restored = varied(name, 0.02), varied(name, 0.02)
    for row in columns:
        straight.observe(row[0])
    saved = state_dict(straight)
    kept = copy.deepcopy(saved)
    load_state_dict(restored, saved)
    for signal in after:
        straight.observe(signal)
        restored.observe(signal)
        assert restored.next_lr(0.3, 0.2) == straight.next_lr(0.3, 0.2)
    assert state_dict(restored) == state_dict(straight)
    assert saved == kept


@EVERY_RULE
@pytest.mark.parametrize("stacked", [False, True])
@given(columns=SIGNALS)
def test_next_lr_is_pure(name: str, stacked: bool, columns: list[list[float]]) -> None:
    rule = stack(trio(name)) if stacked else varied(name, 0.02)
    for row in columns:
        rule.observe(torch.tensor(row, dtype=torch.float64) if stacked else row[0])
    lr: Any = torch.tensor([0.3, 0.1, 0.7], dtype=torch.float64) if stacked else 0.3
    before, kept = snapshot(rule), copy.deepcopy((snapshot(rule), lr))
    first = copy.deepcopy(rule.next_lr(lr, lr))
    rule.next_lr(lr * 2, lr)
    assert same(rule.next_lr(lr, lr), first)
    assert all(map(same, (*snapshot(rule), lr), (*kept[0], kept[1])))
    assert all(lr_stacked is then for lr_stacked, then in zip(snapshot(rule), before, strict=True))


@EVERY_RULE
@pytest.mark.parametrize("stacked", [False, True])
@given(columns=SIGNALS)
def test_state_is_rebound_and_never_written_in_place(name: str, stacked: bool, columns: list[list[float]]) -> None:
    rule = stack(trio(name)) if stacked else varied(name, 0.02)
    for row in columns:
        before = snapshot(rule)
        kept = copy.deepcopy(before)
        signal: Any = torch.tensor(row, dtype=torch.float64) if stacked else row[0]
        given_signal = copy.deepcopy(signal)
        rule.observe(signal)
        assert all(map(same, before, kept))
        assert same(signal, given_signal)


@EVERY_RULE
def test_a_run_without_a_reward_is_restored(name: str) -> None:
    stacked_rule, still = stack(trio(name)), trio(name)[1]
    signals = torch.tensor([[0.5, 0.25, -1.0], [1.0, -0.75, 0.5], [0.1, 0.9, 0.3]], dtype=torch.float64)
    for t, row in enumerate(signals):
        before = snapshot(stacked_rule)
        stacked_rule.observe(row)
        if t == 1:
            restore_where_not(stacked_rule, torch.tensor([True, False, True]), before)
        else:
            still.observe(float(row[1]))
    base = torch.full((3,), 0.2, dtype=torch.float64)
    assert float(stacked_rule.next_lr(base, base)[1]) == pytest.approx(still.next_lr(0.2, 0.2), rel=1e-12)  # type: ignore[index]


@EVERY_RULE
def test_a_missing_reward_changes_nothing(name: str) -> None:
    for rule in (varied(name, 0.02), stack(trio(name))):
        before = snapshot(rule)
        moves = rule.observe_missing()
        if moves is False:  # a rule that counts such steps returns True
            assert all(map(same, snapshot(rule), before))
        assert name not in ("kelly", "none", "scaling", "trend", "variance") or moves is False


@EVERY_RULE
def test_a_rule_starts_from_a_positive_rate_and_prints_its_settings(name: str) -> None:
    rule = varied(name, 0.02)
    assert float(rule.initial_lr(0.1)) > 0
    assert all(f.name in repr(rule) for f in fields(rule) if f.init)  # type: ignore[arg-type]


def test_rules_of_two_classes_do_not_stack() -> None:
    with pytest.raises(ValueError, match="class"):
        stack([varied("kelly", 0.0), varied("trend", 0.0)])


def test_rules_that_differ_in_what_a_batch_shares_do_not_stack() -> None:
    with pytest.raises(ValueError, match="window"):
        stack([Variance(window=3), Variance(window=4)])


@EVERY_RULE
def test_a_rule_is_built_from_its_name_and_settings(name: str) -> None:
    rule = varied(name, 0.02)
    given = {f.name: getattr(rule, f.name) for f in fields(rule) if f.init}  # type: ignore[arg-type]
    assert RULES.build({"name": name} | given) == rule
    assert RULES.build({"name": name}) == RULES.get(name)()
    with pytest.raises(ValueError, match="no_such_setting"):
        RULES.build({"name": name, "no_such_setting": 1.0})


@pytest.mark.parametrize("runs", [1, 3])
def test_a_state_of_other_names_is_refused_and_changes_nothing(runs: int) -> None:
    rule = varied("trend", 0.0)
    for signal in range(runs):
        rule.observe(float(signal))
    before = state_dict(rule)
    for broken in ({}, before | {"more": 1.0}, {k: v for k, v in before.items() if k != "has_previous"}):
        with pytest.raises(ValueError, match="Trend"):
            load_state_dict(rule, broken)
        assert state_dict(rule) == before
