"""The published rules give the rates of their own implementations, wherever these can be imported."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from rasched import RewardAdaptiveScheduler
from rasched.rules import CosineDecay, Greedy, KLAdaptive, LinearDecay, Plateau, Rule

REWARDS = np.random.default_rng(3).normal(size=400).cumsum() / 4 - 20.0  # negative, rises and falls


def sgd(lr: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=lr)


def our_lrs(rule: Rule, rewards: Any, *, horizon: int | None = None, **bounds: float) -> list[float]:
    """Return the rate after each reward."""
    scheduler = RewardAdaptiveScheduler(sgd(), rule=rule, horizon=horizon, **bounds)
    lrs = []
    for reward in rewards:
        scheduler.observe(reward)
        lrs += scheduler.get_lr()
    return lrs


@pytest.mark.parametrize(("factor", "patience", "threshold"), [(0.1, 10, 1e-4), (0.5, 0, 0.0), (0.9, 3, 0.2)])
def test_plateau_is_torchs_reduce_lr_on_plateau(factor: float, patience: int, threshold: float) -> None:
    optimizer = sgd()
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max", factor, patience, threshold, "abs", min_lr=1e-12, eps=0.0
    )
    expected = []
    for reward in REWARDS:
        theirs.step(reward)
        expected.append(optimizer.param_groups[0]["lr"])
    assert len(set(expected)) > 3
    rule = Plateau(factor=factor, patience=patience, threshold=threshold)
    assert our_lrs(rule, REWARDS, min_lr=1e-12) == pytest.approx(expected, rel=1e-12)


def test_linear_decay_is_torchs() -> None:
    optimizer = sgd()
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=50)
    expected = []
    for _ in range(60):
        optimizer.step()
        theirs.step()
        expected.append(optimizer.param_groups[0]["lr"])
    assert our_lrs(LinearDecay(final=0.1), [0.0] * 60, horizon=50) == pytest.approx(expected, rel=1e-12)


def test_cosine_decay_is_torchs() -> None:
    optimizer = sgd()
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.01)
    expected = []
    for _ in range(50):
        optimizer.step()
        theirs.step()
        expected.append(optimizer.param_groups[0]["lr"])
    assert our_lrs(CosineDecay(final=0.1), [0.0] * 50, horizon=50) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rule", [LinearDecay(), CosineDecay()], ids=repr)
def test_a_decay_ends_at_the_lower_bound_and_needs_the_length_of_the_run(rule: Rule) -> None:
    lrs = our_lrs(rule, [1.0, 2.0, 3.0, 4.0], horizon=4)
    assert lrs == sorted(lrs, reverse=True) and lrs[-1] == pytest.approx(0.001)
    with pytest.raises(ValueError, match="horizon"):
        RewardAdaptiveScheduler(sgd(), rule=rule)
    with pytest.raises(ValueError, match="horizon must be a whole number"):
        RewardAdaptiveScheduler(sgd(), rule=rule, horizon=0)


def test_a_decay_counts_steps_without_a_reward() -> None:
    assert our_lrs(LinearDecay(), [None, 1.0, None], horizon=4) == pytest.approx([0.075, 0.05, 0.025])


def test_greedy_is_that_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "GreedyLR"):
        pytest.skip("this transformers has no GreedyLR")
    rewards = np.concatenate([REWARDS, np.arange(100.0)])
    optimizer = sgd()
    theirs = transformers.GreedyLR(optimizer, mode="max", patience=4, min_lr=1e-9, max_lr=1e3, eps=0.0)
    expected = []
    for reward in rewards:
        theirs.step(reward)
        expected.append(optimizer.param_groups[0]["lr"])
    assert np.diff(expected).max() > 0 > np.diff(expected).min()
    assert our_lrs(Greedy(patience=4.0), rewards, min_lr=1e-9, max_lr=1e3) == pytest.approx(expected, rel=1e-12)


KLS = [*np.exp(np.random.default_rng(5).normal(np.log(0.01), 1.5, size=400)), 1.0, 0.02, 0.005]
PUBLISHED = {"slow_start": False, "reward_hold": False}


def our_kl_lrs(rule: KLAdaptive, kls: list[float], **bounds: float) -> list[float]:
    scheduler = RewardAdaptiveScheduler(sgd(1e-3), rule=rule, **bounds)
    lrs = []
    for t, kl in enumerate(kls):
        scheduler.observe(R=math.sin(t), kl=kl)
        lrs += scheduler.get_lr()
    return lrs


def test_kl_adaptive_is_that_of_torchrl() -> None:
    objectives = pytest.importorskip("torchrl.objectives")
    if not hasattr(objectives, "KLAdaptiveLR"):
        pytest.skip("this torchrl has no KLAdaptiveLR")
    optimizer = sgd(1e-3)
    theirs = objectives.KLAdaptiveLR(optimizer, target_kl=0.01, min_lr=1e-5, max_lr=1e-2)
    expected = []
    for kl in [*KLS, 0.0, *KLS]:
        theirs.step(kl)
        expected.append(optimizer.param_groups[0]["lr"])
    ours = our_kl_lrs(KLAdaptive(**PUBLISHED), [*KLS, 0.0, *KLS], min_lr=1e-5, max_lr=1e-2)
    assert ours == pytest.approx(expected, rel=1e-12)


def test_kl_adaptive_is_that_of_skrl() -> None:
    schedulers = pytest.importorskip("skrl.resources.schedulers.torch")
    optimizer = sgd(1e-3)
    theirs = schedulers.KLAdaptiveLR(optimizer, kl_threshold=0.008, min_lr=1e-5, max_lr=1e-2)
    expected = []
    for kl in KLS:
        theirs.step(kl)
        expected.append(optimizer.param_groups[0]["lr"])
    ours = our_kl_lrs(KLAdaptive(target_kl=0.008, **PUBLISHED), KLS, min_lr=1e-5, max_lr=1e-2)
    assert ours == pytest.approx(expected, rel=1e-12)


def test_slow_start_begins_at_a_hundredth_and_climbs_to_the_target() -> None:
    lrs = our_kl_lrs(KLAdaptive(reward_hold=False), [1e-6] * 5 + [0.01] * 3)
    assert lrs == pytest.approx([1e-5 * 1.5 ** min(n, 5) for n in range(1, 9)])


def test_reward_hold_does_not_exceed_the_rate_at_which_the_reward_rose() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(1e-3), rule=KLAdaptive())
    for t in range(8):
        scheduler.observe(R=math.sin(t), kl=1e-6)
    assert scheduler.get_lr()[0] < 1e-3
    for _ in range(6):
        scheduler.observe(R=10.0, kl=1e-6)
    held = scheduler.get_lr()[0]
    for _ in range(50):
        scheduler.observe(R=10.0, kl=1e-6)
    assert scheduler.get_lr()[0] == held < 0.1  # without the hold it would be at its upper bound
    scheduler.observe(R=10.0, kl=1.0)
    assert scheduler.get_lr()[0] == pytest.approx(held / 1.5)  # a divergence that is too large still lowers it
    scheduler.observe(R=10.0, kl=1e-6)
    scheduler.observe(R=10.0, kl=1e-6)
    assert scheduler.get_lr()[0] == pytest.approx(held)


def test_a_kl_that_is_not_known_lets_the_rate_climb_no_further_than_the_base_without_rewards() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(1e-3), rule=KLAdaptive())
    for _ in range(80):
        scheduler.observe(R=None, kl=None)
    assert scheduler.get_lr()[0] == pytest.approx(1e-3)
    with pytest.raises(TypeError, match="kl"):
        scheduler.observe(R=1.0)


def test_bounds_of_the_rate_are_known_to_the_rule() -> None:
    """At its upper bound the rule has not climbed further in secret, so the first cut shows."""
    scheduler = RewardAdaptiveScheduler(
        sgd(1e-3), rule=KLAdaptive(slow_start=False, reward_hold=False), max_lr=1.2e-3, min_lr=1e-4
    )
    for _ in range(20):
        scheduler.observe(R=0.0, kl=1e-6)
    assert scheduler.get_lr()[0] == pytest.approx(1.2e-3)
    scheduler.observe(R=0.0, kl=1.0)
    assert scheduler.get_lr()[0] == pytest.approx(0.8e-3)
