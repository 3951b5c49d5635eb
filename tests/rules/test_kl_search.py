"""The search by an averaged KL divergence: it finds the rate that has the target, whatever base rate it starts from."""

import copy
import math

import numpy as np
import pytest
import torch

from rasched import RewardAdaptiveScheduler
from rasched.rules import KLAdaptive, KLSearch, Rule


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


@pytest.mark.parametrize("rule", [KLSearch(), KLAdaptive()], ids=repr)
def test_offset_and_scale_of_the_rewards_do_not_matter(rule: Rule) -> None:
    rng = np.random.default_rng(2)
    rewards = np.concatenate([rng.normal(size=60), rng.normal(size=100) + 3.0])
    kls = np.exp(rng.normal(math.log(0.003), 1.0, size=160))

    def lrs(offset: float, scale: float) -> list[float]:
        scheduler = RewardAdaptiveScheduler(
            torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1), rule=copy.deepcopy(rule)
        )
        rates = []
        for reward, kl in zip(rewards, kls, strict=True):
            scheduler.observe(R=offset + scale * reward, kl=kl)
            rates += scheduler.get_lr()
        return rates

    expected = lrs(0.0, 1.0)
    assert len(set(expected)) > 20
    for offset, scale in ((100.0, 1.0), (-100.0, 1.0), (0.0, 10.0), (-1.0, 1.0)):
        assert lrs(offset, scale) == pytest.approx(expected, rel=1e-9)
