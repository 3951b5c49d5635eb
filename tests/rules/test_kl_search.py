"""The search by an averaged KL divergence: it finds the rate that has the target, whatever base rate it starts from."""

import math

import numpy as np
import pytest
import torch

from rasched import RewardAdaptiveScheduler
from rasched.rules import KLSearch


def scheduler_at(base_lr: float) -> RewardAdaptiveScheduler:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=base_lr)
    scheduler = RewardAdaptiveScheduler(optimizer, rule=KLSearch())
    scheduler.apply()  # constructing writes nothing, and the rule starts at a hundredth of the base rate
    return scheduler


def search(scheduler: RewardAdaptiveScheduler, curvature: float, num_calls: int, reward: float = 0.0) -> float:
    """Give it rewards without a trend and noisy divergences ``curvature * lr ** 2``; return the rate at the end."""
    rng = np.random.default_rng(0)
    for t in range(num_calls):
        kl = curvature * scheduler.get_lr()[0] ** 2 * math.exp(rng.normal(scale=0.2))
        scheduler.observe(R=reward + math.sin(t), kl=kl)
    return scheduler.get_lr()[0]


@pytest.mark.parametrize("base_lr", [2e-4, 1e-3, 1e-2, 0.1, 0.5])
def test_it_finds_the_rate_that_has_the_target_from_any_base_rate(base_lr: float) -> None:
    curvature = 0.005 / 0.01**2  # the rate 0.01 has the target
    assert search(scheduler_at(base_lr), curvature, 60) == pytest.approx(0.01, rel=0.15)


def test_no_update_on_the_way_is_far_above_the_target() -> None:
    scheduler, curvature, largest = scheduler_at(0.1), 0.005 / 0.01**2, 0.0
    for t in range(60):
        kl = curvature * scheduler.get_lr()[0] ** 2
        largest = max(largest, kl)
        scheduler.observe(R=math.sin(t), kl=kl)
    assert largest < 2 * 0.005


def test_once_the_reward_has_risen_the_rate_is_a_ceiling() -> None:
    scheduler = scheduler_at(0.1)
    found = search(scheduler, 50.0, 40)
    search(scheduler, 50.0, 6, reward=10.0)
    for t in range(40):
        scheduler.observe(R=10.0 + math.sin(t), kl=1e-9)  # a policy that has become certain
    assert scheduler.get_lr()[0] <= 1.6 * found
    scheduler.observe(R=10.0, kl=math.inf)
    assert scheduler.get_lr()[0] < found * 1.1


def test_a_divergence_that_is_not_known_changes_nothing_after_a_known_one() -> None:
    scheduler = scheduler_at(0.1)
    for _ in range(5):
        scheduler.observe(R=1.0, kl=None)
    assert scheduler.get_lr()[0] == pytest.approx(0.001 * math.exp(0.5))
    scheduler.observe(R=1.0, kl=1e-4)
    known = scheduler.get_lr()[0]
    scheduler.observe(R=1.0, kl=None)
    scheduler.observe(R=None, kl=0.0)
    assert scheduler.get_lr()[0] == known
