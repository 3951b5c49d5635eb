"""A test of the contract that every rule keeps, for the author of a new one."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from rasched import stacking
from rasched.numerics import Real
from rasched.rules.base import Rule
from rasched.rules.batch import RuleBatch

BASE_LRS = (0.1, 0.5, 0.003)
NUM_CALLS = 60
TOLERANCE = 1e-9  # relative: one run and a batch may round differently
REWARDS: tuple[Callable[[int], float | None], ...] = (
    lambda t: 1.0,
    lambda t: t / 10.0,
    lambda t: math.sin(t * t),
    lambda t: None if t % 3 else 5.0 * math.cos(t),
    lambda t: (-1e308, 1e308, 0.0, 5e-324)[t % 4],
    lambda t: 0.0 if t < 30 else 100.0,
)
EXTRA = (math.nan, 0.0, 1e-4, 0.004, 0.01, 3.0, math.inf)


def check_rule(rule: Rule) -> None:
    """Run a rule through the contract, and raise AssertionError, which names the law, if it breaks one.

    The laws: no finite signal raises an exception; rates are positive numbers; :meth:`~rasched.rules.Rule.next_lr`
    changes nothing; state is rebound and never written in place; a saved state, as JSON, goes on with the same rates; a
    batch gives each run the rates that its rule gives alone, with missing rewards too. Signals are rewards of many
    kinds, among them constant, noisy, missing and huge ones, and further signals with zero, infinity and NaN.
    """
    rule = copy.deepcopy(rule)
    rule.set_context(min_factor=0.01, max_factor=100.0, horizon=float(NUM_CALLS))
    for reward_of in REWARDS:
        _check_one_run(copy.deepcopy(rule), reward_of)
    _check_saved_state(rule)
    _check_batch(rule)


def _check_one_run(rule: Rule, reward_of: Callable[[int], float | None]) -> None:
    base_lr = BASE_LRS[0]
    lr = _checked_lr(rule.initial_lr(base_lr), rule)
    for t in range(NUM_CALLS):
        before = stacking.snapshot(rule)
        copies = copy.deepcopy(before)
        _observe(rule, reward_of(t), t)
        assert all(map(_is_same, before, copies)), f"{rule!r} writes its state in place: rebind it"
        state = stacking.snapshot(rule)
        proposed = rule.next_lr(lr, base_lr)
        assert _is_same(rule.next_lr(lr, base_lr), proposed), f"next_lr of {rule!r} differs from call to call"
        assert all(map(_is_same, stacking.snapshot(rule), state)), f"next_lr of {rule!r} changes the rule's state"
        lr = _checked_lr(proposed, rule)


def _observe(rule: Rule, reward: float | None, call: int) -> None:
    extra = _extra(rule, call)
    try:
        if reward is None:
            rule.observe_missing(**extra)
        else:
            rule.observe(reward, **extra)
    except Exception as error:
        raise AssertionError(
            f"{rule!r} raises {type(error).__name__} at reward {reward!r}, {extra}: {error}"
        ) from error


def _extra(rule: Rule, call: int) -> dict[str, Any]:
    return {name: EXTRA[(call * 5 + index) % len(EXTRA)] for index, name in enumerate(rule.extra_signals)}


def _checked_lr(lr: Real, rule: Rule) -> float:
    assert type(lr) is float, f"{rule!r} gives a {type(lr).__name__} as the rate of one run, expected a float"
    assert lr == lr, f"{rule!r} gives a rate that is not a number"
    return min(max(lr, BASE_LRS[0] / 100), BASE_LRS[0] * 100)


def _check_saved_state(rule: Rule) -> None:
    for reward_of in REWARDS:
        straight, restored = copy.deepcopy(rule), copy.deepcopy(rule)
        for t in range(NUM_CALLS // 2):
            _observe(straight, reward_of(t), t)
        saved = json.dumps(stacking.state_dict(straight), allow_nan=False)
        stacking.load_state_dict(restored, json.loads(saved))
        for t in range(NUM_CALLS // 2, NUM_CALLS):
            _observe(straight, reward_of(t), t)
            _observe(restored, reward_of(t), t)
            assert restored.next_lr(0.3, 0.2) == straight.next_lr(0.3, 0.2), (
                f"{rule!r} goes on differently when restored"
            )


def _check_batch(rule: Rule) -> None:
    """Compare a batch with its runs one by one; rates are clipped in both, as a scheduler does."""
    count = len(BASE_LRS)
    singles, batch = [copy.deepcopy(rule) for _ in range(count)], RuleBatch([copy.deepcopy(rule) for _ in range(count)])
    base = torch.tensor(BASE_LRS, dtype=torch.float64)
    lr = batch.initial_lr(base)
    alone = [float(single.initial_lr(b)) for single, b in zip(singles, BASE_LRS, strict=True)]
    for t, rewards, extra in _batches(rule):
        has_reward = ~rewards.isnan()
        signal = rewards.nan_to_num(0.0)
        moved = batch.observe(signal, None if has_reward.all() else has_reward, extra)
        proposed = batch.next_lr(lr, base)
        lr = _clip(proposed if moved is None else torch.where(moved, proposed, lr), base)
        for run, single in enumerate(singles):
            alone[run] = _step_alone(
                single, rewards[run].item(), {n: v[run].item() for n, v in extra.items()}, alone[run], run
            )
        expected = torch.tensor(alone, dtype=torch.float64)
        assert torch.allclose(lr, expected, rtol=TOLERANCE, atol=0.0), (
            f"a batch of {rule!r} has the rates {lr.tolist()} at call {t}, one by one they are {alone}"
        )


def _batches(rule: Rule) -> Iterator[tuple[int, Tensor, dict[str, Tensor]]]:
    for t in range(NUM_CALLS):
        of_runs = [math.sin(3.0 * t + run) + (t > 20 + run) for run in range(len(BASE_LRS))]
        rewards = [math.nan if (t + run) % 5 == 4 else reward for run, reward in enumerate(of_runs)]
        extra = {
            name: torch.tensor([EXTRA[(t * 5 + index + run) % len(EXTRA)] for run in range(len(BASE_LRS))]).double()
            for index, name in enumerate(rule.extra_signals)
        }
        yield t, torch.tensor(rewards, dtype=torch.float64), extra


def _step_alone(rule: Rule, reward: float, extra: dict[str, float], lr: float, run: int) -> float:
    base_lr = BASE_LRS[run]
    if reward != reward:
        if not rule.observe_missing(**extra):
            return lr
    else:
        rule.observe(reward, **extra)
    return min(max(float(rule.next_lr(lr, base_lr)), base_lr / 100), base_lr * 100)


def _clip(lr: Tensor, base: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(lr, base / 100), base * 100)


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two values are equal, NaN to NaN."""
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return bool(one == other or (one != one and other != other))
