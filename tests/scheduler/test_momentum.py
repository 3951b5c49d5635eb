"""Momentum moves opposite to the rate; an optimizer that has none, or no buffer for it, is refused."""

import pytest
from optimizers import EVERY, MOMENTUM, Regression, momenta, parameter, sgd
from torch import optim

from rasched import RewardAdaptiveScheduler


def test_nothing_is_written_before_the_first_observation() -> None:
    optimizer = sgd(0.1, momentum=0.5)
    scheduler = RewardAdaptiveScheduler(optimizer, adapt_momentum=True)
    scheduler.step()
    scheduler.observe(None)
    assert momenta(optimizer) == [0.5]
    scheduler.observe(0.0)  # the rate stays at the middle of its bounds, on a log scale
    assert momenta(optimizer) == pytest.approx([0.9])


def test_the_ends_of_the_rate_are_the_ends_of_the_momentum() -> None:
    optimizer = sgd(0.1, 0.4, momentum=0.5)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True, min_momentum=0.2, max_momentum=0.7)
    scheduler.observe(1e9)
    assert momenta(optimizer) == pytest.approx([0.2, 0.2])
    scheduler.observe(-1e9)
    assert momenta(optimizer) == pytest.approx([0.7, 0.7])


@pytest.mark.parametrize("name", MOMENTUM)
def test_every_optimizer_with_momentum_has_it_moved(name: str) -> None:
    optimizer = Regression(EVERY[name]).optimizer
    kept = [(g.get("betas") or (None, None))[1] for g in optimizer.param_groups]
    RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True).observe(9.0)
    assert momenta(optimizer) == pytest.approx([0.875] * len(optimizer.param_groups))
    assert [(g.get("betas") or (None, None))[1] for g in optimizer.param_groups] == kept


@pytest.mark.parametrize("name", sorted(set(EVERY) - set(MOMENTUM)))
def test_an_optimizer_without_momentum_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="momentum"):
        RewardAdaptiveScheduler(Regression(EVERY[name]).optimizer, adapt_momentum=True)


def test_momentum_zero_in_one_group_is_refused_by_its_number() -> None:
    groups = [{"params": [parameter()], "momentum": 0.9}, {"params": [parameter()], "momentum": 0.0}]
    with pytest.raises(ValueError, match=r"\b1\b"):
        RewardAdaptiveScheduler(optim.SGD(groups, lr=0.1), adapt_momentum=True)


def test_without_adapt_momentum_it_is_left_alone() -> None:
    optimizer = sgd(0.1, momentum=0.5)
    RewardAdaptiveScheduler(optimizer, "scaling").observe(9.0)
    assert momenta(optimizer) == [0.5]


def test_a_momentum_that_reaches_zero_keeps_its_buffer() -> None:
    optimizer = sgd(0.1, momentum=0.5)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True, min_momentum=0.0)
    scheduler.observe(1e9)
    assert momenta(optimizer) == pytest.approx([0.0], abs=1e-15)
    scheduler.observe(-1e9)
    assert momenta(optimizer) == pytest.approx([0.95])


def test_the_other_momenta_of_a_group_are_kept() -> None:
    optimizer = optim.SGD([parameter()], lr=0.1, momentum=0.9, nesterov=True, dampening=0.0)
    RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True).observe(9.0)
    assert optimizer.param_groups[0]["nesterov"] is True
