"""Measure one observation and one step of torch's own schedulers, in one process."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from rasched.scheduler import RewardAdaptiveScheduler
from rasched.train.loop import one_thread

FOREVER = 10**9
REWARDS = [0.3, -0.2, 0.1, -0.4, 0.5, -0.1, 0.2, -0.4] * 250  # of mean zero: rates wander between their bounds


@dataclass(frozen=True)
class Case:
    """A way of using a scheduler: how many groups, and whether the rate and the reward are tensors."""

    name: str
    groups: int = 1
    tensor_lr: bool = False
    tensor_reward: bool = False


CASES = (
    Case("1 group, floats"),
    Case("8 groups, floats", groups=8),
    Case("1 group, tensor rate", tensor_lr=True),
    Case("1 group, tensor reward", tensor_reward=True),
)


@dataclass(frozen=True)
class Cost:
    """Nanoseconds per call, and the ratio of ``observe`` to it in the same round: medians over rounds."""

    case: str
    scheduler: str
    nanoseconds: float
    observe_ratio: float


def measure(rounds: int = 21) -> list[Cost]:
    """Return the costs of all schedulers in all cases; all are measured in turns within each round."""
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's schedulers warn if no optimizer step was taken
        return [cost for case in CASES for cost in _measure_case(case, rounds)]


def _measure_case(case: Case, rounds: int) -> list[Cost]:
    rewards: list[Any] = [torch.tensor(r) for r in REWARDS] if case.tensor_reward else REWARDS
    contenders = _contenders(case)
    for call, takes_reward in contenders.values():
        _time(call, rewards if takes_reward else None)
    times_by_name: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (call, takes_reward) in contenders.items():
            times_by_name[name].append(_time(call, rewards if takes_reward else None))
    observe_times = times_by_name["observe (kelly, EMA)"]
    return [
        Cost(case.name, name, median(times), median(o / t for o, t in zip(observe_times, times, strict=True)))
        for name, times in times_by_name.items()
    ]


def _contenders(case: Case) -> dict[str, tuple[Callable[..., Any], bool]]:
    """Return each scheduler's step on an optimizer of its own, and whether it takes the reward."""
    return {
        "observe (kelly, EMA)": (RewardAdaptiveScheduler(_optimizer(case), "kelly", ema_reward_beta=0.9).observe, True),
        "ReduceLROnPlateau.step": (ReduceLROnPlateau(_optimizer(case), mode="max", patience=FOREVER).step, True),
        "StepLR.step": (StepLR(_optimizer(case), FOREVER).step, False),
        "OneCycleLR.step": (OneCycleLR(_optimizer(case), max_lr=1.0, total_steps=FOREVER).step, False),
    }


def _optimizer(case: Case) -> torch.optim.Optimizer:
    parameters = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(case.groups)]
    return torch.optim.SGD(parameters, lr=torch.tensor(0.1) if case.tensor_lr else 0.1, momentum=0.9)


def _time(call: Callable[..., Any], rewards: Sequence[Any] | None) -> float:
    """Return nanoseconds of CPU time per call; the time of other processes does not count."""
    if rewards is None:
        start = time.thread_time_ns()
        for _ in REWARDS:
            call()
    else:
        start = time.thread_time_ns()
        for reward in rewards:
            call(reward)
    return (time.thread_time_ns() - start) / len(REWARDS)
