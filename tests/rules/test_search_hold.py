"""Search, hold and cut: against the equations written out once more, and the laws of a rule that reads only rewards."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
import torch

from rasched import RewardAdaptiveScheduler
from rasched.rules import SearchHold

RANDOM = np.random.default_rng(11)
NOISE = RANDOM.normal(size=300)
RISE = np.concatenate([NOISE, NOISE[:200] + 4.0, NOISE[:100] + 1.0, NOISE + 4.0])


def lrs(rewards: Iterable[float | None], rule: SearchHold | None = None) -> list[float]:
    """Return the rate after each reward, with base rate 0.1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, rule=rule or SearchHold())
    rates = []
    for reward in rewards:
        scheduler.observe(reward)
        rates += scheduler.get_lr()
    return rates


def reference(rewards: Iterable[float | None], lr0: float = 0.1) -> list[float]:
    n, f, s, v, last, best, improved, lr = 0, 0.0, 0.0, 0.0, 0.0, -math.inf, False, lr0 / 100
    rates = []
    for reward in rewards:
        if reward is None:
            if not improved and lr < lr0:
                lr = min(lr * math.exp(0.1), lr0)
            rates.append(lr)
            continue
        n += 1
        hf, hs = max(0.1, 1 / n), max(0.02, 1 / n)
        f, s = f + hf * (reward - f), s + hs * (reward - s)
        if n > 1:
            v += max(0.02, 1 / (n - 1)) * ((reward - last) ** 2 / 2 - v)
        last = reward
        vf, vs = max(hf / (2 - hf), 1 / n), max(hs / (2 - hs), 1 / n)
        c = min(max(hf * hs / (hf + hs - hf * hs), 1 / n), vf, vs)
        z = (f - s) / math.sqrt(v * max(vf + vs - 2 * c, 1e-3)) if n > 20 and v > 1e-16 else 0.0
        if n > 20:
            best = max(best, s)
        improved = improved or z > 4
        if z > 4:
            change = 0.0
        elif z < -4:
            change = -0.05
        elif not improved:
            change = 0.1
        else:
            change = 0.03 if f < best - 4 * math.sqrt(v * vf) else 0.0
        lr = min(max(lr * math.exp(change), lr0 / 100), lr0 * 100)
        rates.append(lr)
    return rates


@pytest.mark.parametrize("missing_every", [0, 3])
def test_it_follows_its_equations(missing_every: int) -> None:
    rewards = [None if missing_every and t % missing_every else float(r) for t, r in enumerate(RISE)]
    expected = reference(rewards)
    assert lrs(rewards) == pytest.approx(expected, rel=1e-9)
    steps = np.sign(np.diff(np.log(expected)).round(12))
    assert {-1.0, 0.0, 1.0} <= set(steps) or missing_every  # it searches, holds and cuts


def test_offset_and_scale_of_the_rewards_do_not_matter() -> None:
    expected = lrs(RISE)
    for offset, scale in ((100.0, 1.0), (-100.0, 1.0), (0.0, 10.0), (5.0, 1e-3)):
        assert lrs(RISE * scale + offset) == pytest.approx(expected, rel=1e-9)


def test_it_holds_from_the_improvement_on() -> None:
    rates = lrs(np.concatenate([NOISE[:50], NOISE[:40] + 5.0]))
    assert rates[0] == pytest.approx(0.001 * math.exp(0.1))
    assert rates[-1] == rates[-30]


def test_steps_without_a_reward_raise_the_rate_up_to_its_base_and_not_beyond() -> None:
    rates = lrs([None] * 60)
    assert rates == sorted(rates) and rates[-1] == pytest.approx(0.1) and rates[40] < 0.1
    assert lrs([None] * 60 + [1.0] * 5)[-1] == pytest.approx(0.1 * math.exp(0.5))
