"""It is a torch scheduler: what a trainer may call at any time, and what torch's classes expect of it."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from optimizers import lrs, sgd, snapshot
from torch import optim
from torch.optim.lr_scheduler import LRScheduler

from rasched import RewardAdaptiveScheduler


def test_it_is_a_torch_scheduler() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    assert isinstance(scheduler, LRScheduler)
    assert isinstance(scheduler.last_epoch, int)
    assert isinstance(scheduler._step_count, int)  # Accelerate's adjust_scheduler adds to it
    assert list(scheduler.base_lrs) == [0.1]


def test_rates_before_the_first_observation_are_the_base_rates() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1, 0.2))
    assert scheduler.get_lr() == scheduler.get_last_lr() == [0.1, 0.2]


def test_get_lr_never_warns_and_hands_out_a_copy() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1, torch.tensor(0.25)))
    for _ in range(3):
        scheduler.observe(1.0)
        for rates in (scheduler.get_lr(), scheduler.get_last_lr()):
            assert [type(rate) for rate in rates] == [float, float]
            assert rates == pytest.approx(lrs(scheduler.optimizer), rel=1e-7)
            rates[0] = 99.0
    assert scheduler.get_lr()[0] == scheduler.get_last_lr()[0] == lrs(scheduler.optimizer)[0] != 99.0


@pytest.mark.parametrize("observed", [0, 1, 3])
def test_a_bare_step_changes_no_rate_however_often(observed: int) -> None:
    scheduler, control = (RewardAdaptiveScheduler(sgd(0.1), "trend", normalize="center") for _ in range(2))
    for _ in range(observed):
        scheduler.observe(0.5)
        control.observe(0.5)
    for _ in range(40):
        scheduler.step()
        assert scheduler.get_lr() == control.get_lr() == lrs(scheduler.optimizer)
    scheduler.observe(1.0)
    control.observe(1.0)
    assert scheduler.get_lr() == control.get_lr() == lrs(scheduler.optimizer)


def test_a_bare_step_counts() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    epoch, count = scheduler.last_epoch, scheduler._step_count
    for _ in range(3):
        scheduler.step()
    assert (scheduler.last_epoch, scheduler._step_count) == (epoch + 3, count + 3)


@pytest.mark.parametrize("epoch", [0, 1, 7, True, False])
def test_a_positional_int_is_torchs_epoch_and_moves_nothing(epoch: int) -> None:
    scheduler, control = (RewardAdaptiveScheduler(sgd(0.1), "trend", ema_reward_beta=0.5) for _ in range(2))
    for reward in (0.5, 0.25, 1.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecation of the argument may be passed on
            scheduler.step(epoch)  # type: ignore[arg-type]
        assert scheduler.get_lr() == lrs(scheduler.optimizer) == control.get_lr()
        scheduler.observe(reward)
        control.observe(reward)
        assert scheduler.get_lr() == lrs(scheduler.optimizer) == control.get_lr()


@pytest.mark.parametrize("wrap", [float, torch.tensor, lambda r: torch.tensor([r]), np.float64])
def test_step_with_a_float_or_a_tensor_is_observe(wrap: Any) -> None:
    scheduler, control = (RewardAdaptiveScheduler(sgd(0.1), "trend", ema_reward_beta=0.5) for _ in range(2))
    for reward in (0.5, 0.25, 1.0):
        scheduler.step(wrap(reward))
        control.observe(reward)
        assert scheduler.get_lr() == lrs(scheduler.optimizer) == control.get_lr() != [0.1] or reward == 0.5


def test_a_scheduler_that_is_stepped_and_never_observed_warns_once() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    for _ in range(45):
        scheduler.step()
    with pytest.warns(UserWarning, match="observe") as caught:
        for _ in range(200):
            scheduler.step()
    assert len(caught) == 1


def test_a_scheduler_that_is_observed_now_and_then_never_warns() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    for t in range(300):
        if t % 45 == 10:
            scheduler.observe(0.1)
        scheduler.step()


def test_observe_returns_nothing() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(0.1))
    assert [scheduler.observe(1.0), scheduler.observe(None), scheduler.observe(R=0.5)] == [None] * 3


class Wrapper(optim.Optimizer):
    """What Accelerate and Lightning put around an optimizer: an Optimizer without a post-hook registry of its own."""

    def __init__(self, optimizer: optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        return self.optimizer.param_groups


def test_a_wrapped_optimizer_is_unwrapped() -> None:
    raw = sgd(0.1)
    scheduler = RewardAdaptiveScheduler(Wrapper(raw), "scaling")
    assert scheduler.optimizer is raw
    scheduler.observe(1.0)
    assert lrs(raw) == pytest.approx([0.2])


def test_observing_changes_nothing_but_rate_and_momentum() -> None:
    optimizer = optim.AdamW([torch.nn.Parameter(torch.zeros(2))], lr=0.1, weight_decay=0.3, betas=(0.8, 0.99))
    scheduler = RewardAdaptiveScheduler(optimizer, adapt_momentum=True)
    before, defaults = dict(optimizer.param_groups[0]), dict(optimizer.defaults)
    scheduler.observe(1.0)
    after = optimizer.param_groups[0]
    assert {k for k in before if before[k] is not after[k]} == {"lr", "betas"}
    assert after["betas"][1] == 0.99
    assert optimizer.defaults == defaults
    assert snapshot(scheduler)[2] == lrs(optimizer)
