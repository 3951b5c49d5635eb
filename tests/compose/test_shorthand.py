"""Short forms become Hydra's grammar, and what is in Hydra's grammar stays as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rasched.compose.composer import Composer
from rasched.compose.jobs import expand_overrides
from rasched.compose.shorthand import expand_shorthand
from rasched.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "expanded"),
    [
        ("seed=0..2", "seed=range(0,3)"),
        ("seed=-1..1", "seed=range(-1,2)"),
        ("seeds=3", "seed=range(0,3)"),
        ("seeds=5..7", "seed=range(5,8)"),
        ("steps=1e5", "steps=100000"),
        ("steps=1e3,2.5e3", "steps=1000,2500"),
        ("steps=1.5", "steps=1.5"),
        ("optimizer.lr=1e-5", "optimizer.lr=1e-5"),
        ("optimizer.lr=logspace(1e-5,1e-1,5)", "optimizer.lr=1e-05,0.0001,0.001,0.01,0.1"),
        ("optimizer.lr=logspace(1, 4, 3)", "optimizer.lr=1,2,4"),
        ("preset=ppo_cartpole", "+preset=ppo_cartpole"),
        ("+preset=ppo_cartpole", "+preset=ppo_cartpole"),
        ("rule=kelly,trend", "rule=kelly,trend"),
        ("kelly", "kelly"),
    ],
)
def test_a_short_form_becomes_hydras(typed: str, expanded: str) -> None:
    assert expand_shorthand([typed]) == [expanded]


@given(st.lists(st.text(max_size=20)))
def test_expanding_twice_is_expanding_once(overrides: list[str]) -> None:
    try:
        once = expand_shorthand(overrides)
    except UsageError:
        return
    assert expand_shorthand(once) == once


def test_every_value_of_a_log_grid_is_a_job() -> None:
    (line,) = expand_shorthand(["optimizer.lr=logspace(1e-5,1e-1,9)"])
    _, jobs = expand_overrides(Composer.open(), [line])
    rates = [float(job[0].partition("=")[2]) for job in jobs]
    assert len(rates) == 9 and rates[0] == 1e-5 and rates[-1] == 0.1
    ratios = [b / a for a, b in zip(rates[:-1], rates[1:], strict=True)]
    assert ratios == pytest.approx([10**0.5] * 8, rel=1e-5)
