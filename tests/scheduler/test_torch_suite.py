"""What torch tests of its own schedulers, tested of ours: lifetime, constancy, members of sequences, copies."""

import gc
import io
import pickle
import warnings
import weakref
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
import torch
from optimizers import lrs, parameter, sgd
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    SequentialLR,
    StepLR,
)

from rasched import RewardAdaptiveScheduler

BASES = (0.5, 0.05)
REWARDS = [0.5, -0.25, 1.0, 0.75, -0.5, 0.25, 0.125, 1.0, -1.0, 0.5]
RULES = pytest.mark.parametrize("rule", ["kelly", "none", "scaling", "trend", "variance"])
FRONT: dict[str, Callable[[SGD], LRScheduler]] = {
    "ConstantLR": lambda o: ConstantLR(o, factor=0.3, total_iters=20),
    "LinearLR": lambda o: LinearLR(o, start_factor=0.2, total_iters=3),
    "ExponentialLR": lambda o: ExponentialLR(o, gamma=0.8),
    "StepLR": lambda o: StepLR(o, step_size=2, gamma=0.5),
    "MultiStepLR": lambda o: MultiStepLR(o, milestones=[1, 3], gamma=0.5),
    "CosineAnnealingLR": lambda o: CosineAnnealingLR(o, T_max=7),
    "CosineAnnealingWarmRestarts": lambda o: CosineAnnealingWarmRestarts(o, T_0=3),
    "PolynomialLR": lambda o: PolynomialLR(o, total_iters=6, power=2.0),
    "LambdaLR": lambda o: LambdaLR(o, lambda epoch: 0.9**epoch),
    "MultiplicativeLR": lambda o: MultiplicativeLR(o, lambda epoch: 0.9),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """torch's schedulers warn of themselves: of an order of calls, and of an epoch as an argument (2.6)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        warnings.filterwarnings("ignore", "The epoch parameter in")
        yield


def test_a_scheduler_is_freed_without_the_garbage_collector() -> None:
    optimizer = sgd(*BASES)
    scheduler = RewardAdaptiveScheduler(optimizer)
    scheduler.observe(0.5)
    scheduler.step()
    gone = weakref.ref(scheduler)
    gc.disable()
    try:
        del scheduler
        assert gone() is None
    finally:
        gc.enable()


def test_an_optimizer_is_freed_with_its_scheduler_without_the_garbage_collector() -> None:
    optimizer = sgd(*BASES)
    scheduler = RewardAdaptiveScheduler(optimizer)
    optimizer.step()
    scheduler.observe(0.5)
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer, scheduler
        assert gone() is None
    finally:
        gc.enable()


@RULES
@pytest.mark.parametrize("tensor", [False, True])
def test_initial_lr_and_base_lrs_stay_constant(rule: str, tensor: bool) -> None:
    optimizer = sgd(*(torch.tensor(b, dtype=torch.float64) if tensor else b for b in BASES))
    scheduler = RewardAdaptiveScheduler(optimizer, rule)
    for reward in REWARDS:
        optimizer.step()
        scheduler.observe(reward)
        scheduler.step()
        assert [float(group["initial_lr"]) for group in optimizer.param_groups] == list(BASES)
        assert scheduler.base_lrs == list(BASES)


@RULES
def test_the_returned_lists_are_copies(rule: str) -> None:
    scheduler = RewardAdaptiveScheduler(sgd(*BASES), rule)
    scheduler.observe(0.5)
    before = scheduler.get_lr()
    for returned in (scheduler.get_lr(), scheduler.get_last_lr()):
        returned[0] = 77.0
    assert scheduler.get_lr() == scheduler.get_last_lr() == before == lrs(scheduler.optimizer)


def test_get_last_lr_of_tensor_rates_does_not_change_with_a_later_observation() -> None:
    scheduler = RewardAdaptiveScheduler(sgd(torch.tensor(0.5)), "scaling")
    scheduler.observe(0.5)
    last = scheduler.get_last_lr()
    scheduler.observe(1.0)
    assert last == pytest.approx([0.75]) and scheduler.get_last_lr() == pytest.approx([1.0])


def test_constructing_a_second_scheduler_keeps_the_base_rates() -> None:
    optimizer = sgd(*BASES)
    first = RewardAdaptiveScheduler(optimizer, "scaling")
    first.observe(1.0)
    second = RewardAdaptiveScheduler(optimizer, "scaling")
    assert second.base_lrs == list(BASES)
    assert lrs(optimizer) == pytest.approx([1.0, 0.1])


@pytest.mark.parametrize("front", FRONT)
@pytest.mark.parametrize("ours_first", [True, False], ids=["constructed first", "constructed last"])
def test_behind_every_scheduler_of_torch_it_starts_from_the_base_rate(front: str, ours_first: bool) -> None:
    milestone = 4
    optimizer, alone = sgd(*BASES), sgd(*BASES)
    ours = RewardAdaptiveScheduler(optimizer, "scaling") if ours_first else None
    other, control = FRONT[front](optimizer), FRONT[front](alone)
    ours = ours or RewardAdaptiveScheduler(optimizer, "scaling")
    both = SequentialLR(optimizer, [other, ours], [milestone])
    for step, reward in enumerate(REWARDS, start=1):
        for each in (optimizer, alone):
            each.step()
        ours.observe(reward)
        both.step()
        control.step()
        if step < milestone:
            assert lrs(optimizer) == pytest.approx(lrs(alone), rel=1e-12)
        elif step == milestone:
            assert lrs(optimizer) == list(BASES)
        else:
            assert lrs(optimizer) == pytest.approx([max(b * (1 + reward), b / 100) for b in BASES], rel=1e-12)
        assert both.get_last_lr() == lrs(optimizer)


def test_two_of_ours_in_one_sequence_take_turns() -> None:
    optimizer = sgd(*BASES)
    first, second = RewardAdaptiveScheduler(optimizer, "scaling"), RewardAdaptiveScheduler(optimizer, "variance")
    both = SequentialLR(optimizer, [first, second], [3])
    for step, reward in enumerate(REWARDS[:6], start=1):
        optimizer.step()
        (first if step < 3 else second).observe(reward)
        both.step()
        if step == 3:
            assert lrs(optimizer) == list(BASES)
    assert lrs(optimizer) == second.get_lr() != list(BASES)


def test_a_sequence_of_three_goes_on_from_its_state() -> None:
    def make() -> tuple[SGD, RewardAdaptiveScheduler, SequentialLR]:
        optimizer = sgd(*BASES)
        ours = RewardAdaptiveScheduler(optimizer, "trend")
        warm_ups = [ConstantLR(optimizer, factor=0.1, total_iters=9), LinearLR(optimizer, 0.5, total_iters=9)]
        return optimizer, ours, SequentialLR(optimizer, [*warm_ups, ours], [2, 5])

    def train(parts: tuple[SGD, RewardAdaptiveScheduler, SequentialLR], rewards: list[float]) -> list[list[float]]:
        trace = []
        for reward in rewards:
            parts[0].step()
            parts[1].observe(reward)
            parts[2].step()
            trace.append(lrs(parts[0]))
        return trace

    expected = train(make(), REWARDS)
    for at in range(1, len(REWARDS)):
        saved, fresh = make(), make()
        train(saved, REWARDS[:at])
        file = io.BytesIO()
        torch.save([saved[0].state_dict(), saved[2].state_dict()], file)
        file.seek(0)
        optimizer_state, state = torch.load(file, weights_only=True)
        fresh[0].load_state_dict(optimizer_state)
        fresh[2].load_state_dict(state)
        assert train(fresh, REWARDS[at:]) == expected[at:]


def test_a_chained_scheduler_saves_and_loads_ours() -> None:
    optimizer = sgd(*BASES)
    ours = RewardAdaptiveScheduler(optimizer, "kelly")
    chained = ChainedScheduler([ConstantLR(optimizer, factor=1.0, total_iters=1), ours])
    for reward in REWARDS[:4]:
        optimizer.step()
        chained.step()
        ours.observe(reward)
    assert lrs(optimizer) == ours.get_lr()
    state = pickle.loads(pickle.dumps(chained.state_dict()))
    before = ours.state_dict()
    ours.observe(-1.0)
    chained.load_state_dict(state)
    assert ours.state_dict() == before and lrs(optimizer) == before["lrs"]


@RULES
@pytest.mark.parametrize("copy", [deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["deepcopy", "pickle"])
def test_a_copy_with_its_optimizer_goes_on_alike_and_apart(rule: str, copy: Callable[[Any], Any]) -> None:
    optimizer: SGD = sgd(*BASES, momentum=0.9)
    scheduler = RewardAdaptiveScheduler(optimizer, rule, normalize="center", ema_reward_beta=0.5, adapt_momentum=True)
    for reward in REWARDS[:4]:
        scheduler.observe(reward)
    other_optimizer, other = copy((optimizer, scheduler))
    assert other.optimizer is other_optimizer
    before = lrs(optimizer)
    for reward in REWARDS[4:]:
        other.observe(reward)
    assert lrs(optimizer) == before
    for reward in REWARDS[4:]:
        scheduler.observe(reward)
    assert lrs(other_optimizer) == lrs(optimizer) and other.state_dict() == scheduler.state_dict()


def test_no_order_of_calls_warns() -> None:
    """torch's schedulers warn if they are stepped before the optimizer; ours has no first rate to skip."""
    optimizer = Adam([parameter()], lr=0.1)
    scheduler = RewardAdaptiveScheduler(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
        scheduler.observe(0.5)
        optimizer.step()
        scheduler.step()
        scheduler.get_lr()
