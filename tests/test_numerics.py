"""Functions of a float and of a tensor agree."""

from math import inf, isnan, nan
from typing import Any

import pytest
import torch

from rasched import numerics

NUMBERS = [-1e308, -800.0, -1.5, -0.0, 0.25, 1.0, 3.0, 709.0, 710.0, 1e308]


@pytest.mark.parametrize("name", ["exp", "cos", "tanh"])
def test_a_tensor_has_the_values_of_its_floats(name: str) -> None:
    function = getattr(numerics, name)
    stacked = function(torch.tensor(NUMBERS, dtype=torch.float64))
    assert stacked.dtype == torch.float64
    assert stacked.tolist() == pytest.approx([function(x) for x in NUMBERS], rel=1e-14)
    assert all(type(function(x)) is float for x in NUMBERS)


def test_exp_is_infinite_beyond_the_range_of_a_float() -> None:
    assert numerics.exp(710.0) == inf and numerics.exp(-1e308) == 0.0 and numerics.exp(inf) == inf
    assert isnan(float(numerics.exp(nan)))


@pytest.mark.parametrize("x", [True, False])
@pytest.mark.parametrize("y", [True, False])
def test_masks_combine_as_bools_do(x: Any, y: Any) -> None:
    a, b = torch.tensor([x]), torch.tensor([y])
    for first, second in ((x, y), (a, y), (x, b), (a, b)):
        assert bool(numerics.logical_and(first, second)) is (x and y)
        assert bool(numerics.logical_or(first, second)) is (x or y)
    assert numerics.logical_not(x) is (not x)
    assert numerics.logical_not(a).tolist() == [not x]  # type: ignore[union-attr]


def test_where_of_two_floats_keeps_float64() -> None:
    chosen: Any = numerics.where(torch.tensor([True, False]), 0.1, 0.3)
    assert chosen.dtype == torch.float64 and chosen.tolist() == [0.1, 0.3]
