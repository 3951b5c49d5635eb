"""Rules of several classes in one batch give each run the rates that its rule gives alone."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
from rasched.rules.batch import RuleBatch

RULES: list[Rule] = [
    *(Kelly(), Kelly(gain=0.5, temp=2.0), Trend(), Trend(up=1.5), Scaling(center=0.5), Scaling()),
    *(Variance(window=2), Variance(window=3), Variance(alpha=0.5, window=3)),
    NoRule(),
]


@given(choices=st.lists(st.integers(0, len(RULES) - 1), min_size=1, max_size=12), data=st.data())
def test_each_run_has_the_rates_of_its_rule_alone(choices: list[int], data: st.DataObject) -> None:
    singles = [deepcopy(RULES[choice]) for choice in choices]
    batch = RuleBatch([deepcopy(RULES[choice]) for choice in choices])
    base = torch.linspace(0.1, 0.9, len(choices), dtype=torch.float64)
    lr, expected = batch.initial_lr(base), base.tolist()
    for _ in range(6):
        numbers = st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=len(choices), max_size=len(choices))
        row = data.draw(numbers)
        has_reward = data.draw(st.none() | st.lists(st.booleans(), min_size=len(choices), max_size=len(choices)))
        changes_lr = batch.observe(
            torch.tensor(row, dtype=torch.float64), None if has_reward is None else torch.tensor(has_reward)
        )
        proposed = batch.next_lr(lr, base)
        lr = proposed if changes_lr is None else torch.where(changes_lr, proposed, lr)
        for i, rule in enumerate(singles):
            if has_reward is None or has_reward[i]:
                rule.observe(row[i])
                expected[i] = rule.next_lr(expected[i], float(base[i]))  # type: ignore[assignment]
        assert lr.tolist() == pytest.approx(expected, rel=1e-12)
