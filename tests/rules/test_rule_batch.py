"""Rules of many kinds over one batch: each run has what its rule alone would give it, whoever its neighbours are."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rasched.rules import Kelly, NoRule, Rule, Scaling, Trend, Variance
from rasched.rules.batch import RuleBatch

KINDS: list[Rule] = [
    *(Kelly(), Kelly(gain=0.5, temp=2.0), Trend(), Trend(up=1.5), Scaling(center=0.5), Scaling()),
    *(Variance(window=2), Variance(window=3), Variance(alpha=0.5, window=3)),
    NoRule(),
]


@given(places=st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=12), data=st.data())
def test_each_run_has_the_rates_of_its_rule_alone(places: list[int], data: st.DataObject) -> None:
    singles = [deepcopy(KINDS[place]) for place in places]
    bank = RuleBatch([deepcopy(KINDS[place]) for place in places])
    base = torch.linspace(0.1, 0.9, len(places), dtype=torch.float64)
    now, alone = bank.initial_lr(base), base.tolist()
    for _ in range(6):
        numbers = st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=len(places), max_size=len(places))
        row = data.draw(numbers)
        heard = data.draw(st.none() | st.lists(st.booleans(), min_size=len(places), max_size=len(places)))
        moved = bank.observe(torch.tensor(row, dtype=torch.float64), None if heard is None else torch.tensor(heard))
        proposed = bank.next_lr(now, base)
        now = proposed if moved is None else torch.where(moved, proposed, now)
        for i, rule in enumerate(singles):
            if heard is None or heard[i]:
                rule.observe(row[i])
                alone[i] = rule.next_lr(alone[i], float(base[i]))  # type: ignore[assignment]
        assert now.tolist() == pytest.approx(alone, rel=1e-12)
