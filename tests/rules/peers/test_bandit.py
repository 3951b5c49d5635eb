"""The bandit over rates is the published one, and each run draws from a stream of its own."""

import math
from collections import Counter
from typing import Any

import pytest
import torch

from rasched import RewardAdaptiveScheduler
from rasched.numerics import RANDOM_MODULI, next_random
from rasched.rng import stream_start
from rasched.rules import RateBandit
from tests.run_factories import columns_of, run_settings

REWARDS = [math.sin(t * t) + t / 50 for t in range(300)]


def our_arms(rule: RateBandit, rewards: list[float]) -> list[int]:
    """Return the index of the rate before the first reward and after each."""
    lrs = [rule.initial_lr(1.0)]
    for reward in rewards:
        rule.observe(reward)
        lrs.append(rule.next_lr(1.0, 1.0))
    return [round(math.log(float(lr), float(rule.ratio))) + rule.num_arms // 2 for lr in lrs]


def published_arms(rule: RateBandit, rewards: list[float]) -> list[int]:
    """Return the same by the equations of the source, with the rule's random numbers."""
    states: Any = [1.0 + stream_start(rule.seed, "bandit") % (m - 1.0) for m in RANDOM_MODULI]  # type: ignore[arg-type]
    weights, means, block, arms = [0.0] * rule.num_arms, [], [], []
    size = int(rule.block)

    def choose() -> int:
        nonlocal states
        number, *states = next_random(*states)
        total = sum(map(math.exp, weights))
        bounds = [sum(map(math.exp, weights[: k + 1])) / total for k in range(rule.num_arms)]
        return sum(number >= bound for bound in bounds[:-1])  # type: ignore[operator]

    arms.append(choose())
    for reward in rewards:
        block.append(reward)
        if len(block) < size:
            arms.append(arms[-1])
            continue
        mean, last = sum(block) / size, means[-rule.memory :]
        gain = mean - sum(last) / len(last) if last else 0.0
        total = sum(map(math.exp, weights))
        k = arms[-1]
        scale = total / math.exp(weights[k]) if rule.corrected else 1 / math.exp(weights[k])
        weights = [float(rule.decay) * w for w in weights]
        weights[k] += float(rule.alpha) * gain * scale
        means, block = [*means, mean], []
        arms.append(choose())
    return arms


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("settings", [{}, {"block": 3.0, "alpha": 2.0, "memory": 2, "num_arms": 3, "seed": 7.0}])
def test_the_arms_are_those_of_the_equations(corrected: bool, settings: Any) -> None:
    rule = RateBandit(corrected=corrected, **settings)
    arms = our_arms(RateBandit(corrected=corrected, **settings), REWARDS)
    assert arms == published_arms(rule, REWARDS)
    assert len(set(arms)) >= 3


@pytest.mark.parametrize("corrected", [False, True])
def test_it_prefers_the_rate_that_is_followed_by_better_rewards(corrected: bool) -> None:
    shares = Counter[int]()
    for seed in range(20):
        rule = RateBandit(block=1.0, alpha=1.0, corrected=corrected, seed=float(seed))
        lr = float(rule.initial_lr(1.0))
        for _ in range(400):
            rule.observe(1.0 if lr == pytest.approx(10.0) else 0.0)
            lr = float(rule.next_lr(lr, 1.0))
            shares[round(math.log10(lr))] += 1
    assert shares.most_common(1)[0][0] == 1 and shares[1] > 1.5 * shares.total() / 5


def test_each_run_has_its_own_stream_and_a_batch_gives_it_too() -> None:
    settings = [run_settings(rule=RateBandit(block=5.0), seed=seed, steps=100) for seed in range(6)]
    batched = columns_of(settings, batched=True)["train/lr"]
    for index, run in enumerate(settings):
        alone = columns_of([run], batched=False)["train/lr"]
        assert alone[:, 0].tolist() == pytest.approx(batched[:, index].tolist(), rel=1e-12)
    assert len({tuple(column) for column in batched.T.tolist()}) == 6


def test_first_rates_are_spread_evenly_over_the_seeds() -> None:
    counts = Counter()
    for seed in range(500):
        rule = RateBandit()
        rule.set_context(run_start=stream_start(seed, "rule"))
        counts[float(rule.initial_lr(1.0))] += 1
    assert len(counts) == 5 and all(abs(count - 100) < 4 * math.sqrt(80) for count in counts.values())


def test_a_scheduler_goes_on_with_the_same_rates_from_its_saved_state() -> None:
    def make() -> RewardAdaptiveScheduler:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        return RewardAdaptiveScheduler(optimizer, rule=RateBandit(block=3.0, alpha=2.0))

    straight, restored = make(), make()
    for reward in REWARDS[:50]:
        straight.observe(reward)
    restored.load_state_dict(straight.state_dict())
    for reward in REWARDS[50:]:
        straight.observe(reward)
        restored.observe(reward)
        assert restored.get_lr() == straight.get_lr()


def test_random_numbers_are_uniform_and_the_same_for_a_tensor() -> None:
    seeds = torch.arange(1.0, 65.0, dtype=torch.float64)
    stacked: Any = (seeds, seeds)
    alone: list[Any] = [(seed, seed) for seed in seeds.tolist()]
    numbers = []
    for _ in range(200):
        number, *stacked = next_random(*stacked)
        drawn = [next_random(*states) for states in alone]
        alone = [states for _, *states in drawn]
        assert number.tolist() == [value for value, *_ in drawn]  # type: ignore[union-attr]
        numbers += drawn
    counts = Counter(int(value * 10) for value, *_ in numbers)
    expected = len(numbers) / 10
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 30
