"""Other positions in sequences of schedulers: nested, after two warm-ups, in front."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from optimizers import lrs, sgd
from torch.optim.lr_scheduler import ConstantLR, LinearLR, SequentialLR, StepLR

from rasched import RewardAdaptiveScheduler

BASES = (0.1, 0.3)
REWARDS = [0.5, -0.25, 1.0, 0.75, -0.5, 0.25, 0.125, 1.0, -1.0, 0.5]


@contextmanager
def torch_complains_of_itself() -> Iterator[None]:
    """An outer sequence steps the first member of an inner one at construction, and torch then blames the caller."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        yield


def test_nested_in_an_inner_sequence_it_waits_for_its_own_turn() -> None:
    """torch lowers `last_epoch` of an inner member once for each sequence around it."""
    optimizer = sgd(*BASES)
    ours = RewardAdaptiveScheduler(optimizer, "scaling")
    linear = LinearLR(optimizer, start_factor=0.1, total_iters=9)
    after = StepLR(optimizer, step_size=1000)
    inner = SequentialLR(optimizer, [linear, ours], [3])
    with torch_complains_of_itself():
        outer = SequentialLR(optimizer, [inner, after], [100])
    trace = []
    for reward in REWARDS:
        optimizer.step()
        ours.observe(reward)
        outer.step()
        trace.append((lrs(optimizer), inner.last_epoch))
    waiting = [rates for rates, epoch in trace if epoch < 3]
    active = [rates for rates, epoch in trace if epoch >= 3]
    assert waiting and all(rates[0] < BASES[0] for rates in waiting)
    assert active[0] == list(BASES)
    rewards = REWARDS[len(waiting) + 1 :]
    assert active[1:] == [
        pytest.approx([max(base / 100, base * (1 + r)) for base in BASES], rel=1e-12) for r in rewards
    ]


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # torch 2.6, of itself
def test_behind_a_sequence_of_warm_ups_it_starts_from_the_base_rate() -> None:
    optimizer = sgd(*BASES)
    ours = RewardAdaptiveScheduler(optimizer, "scaling")
    warm_ups = [ConstantLR(optimizer, factor=0.2, total_iters=9), LinearLR(optimizer, start_factor=0.5, total_iters=9)]
    with torch_complains_of_itself():
        both = SequentialLR(optimizer, [SequentialLR(optimizer, warm_ups, [2]), ours], [5])
    trace = []
    for reward in REWARDS[:7]:
        optimizer.step()
        ours.observe(reward)
        both.step()
        trace.append(lrs(optimizer))
    assert all(rates[0] < BASES[0] for rates in trace[:4])
    assert trace[4] == list(BASES)
    assert trace[5] == pytest.approx([base * (1 + REWARDS[5]) for base in BASES], rel=1e-12)


def test_first_in_a_sequence_it_is_its_turn_at_once() -> None:
    optimizer = sgd(*BASES)
    ours = RewardAdaptiveScheduler(optimizer, "scaling")
    both = SequentialLR(optimizer, [ours, StepLR(optimizer, step_size=1000)], [50])
    for reward in REWARDS[:3]:
        optimizer.step()
        ours.observe(reward)
        both.step()
        assert lrs(optimizer) == pytest.approx([max(base / 100, base * (1 + reward)) for base in BASES], rel=1e-12)
