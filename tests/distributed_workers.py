"""The work of one of two ranks in the tests of `sync`; a separate module, since spawned ranks import it by name."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import inf, nan
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributed as dist
from optimizers import lrs, sgd

from rasched import RewardAdaptiveScheduler
from rasched.rules import Rule
from rasched.stacking import state

COLLECTIVES = ("all_reduce", "all_gather", "all_gather_into_tensor", "all_gather_object", "broadcast", "barrier")
UNREADABLE = (2**2000, torch.empty((), device="meta"), np.ma.masked, "text", object())
# What the two ranks observe, step by step.
REWARDS: dict[str, list[tuple[Any, Any]]] = {
    "both": [(0.5, -0.25), (1.0, 0.5), (0.0, 0.75)],
    "absent": [(0.5, 0.25), (None, 0.5), (1.0, None), (None, None), (0.25, 0.75)],
    "nonfinite": [(0.5, 0.25), (nan, 0.5), (0.25, -inf), (inf, nan), (None, nan), (1.0, 0.5)],
    "several": [(0.5, 0.25), ("two elements", 0.5), (1.0, 0.5)],
    "unreadable": [(0.5, 0.25), *((reward, 0.5) for reward in UNREADABLE), (1.0, 0.5)],
}
SETTINGS: dict[str, Any] = {"normalize": "center", "ema_reward_beta": 0.5}


def follow(rank: int, rewards: list[tuple[Any, Any]], **settings: Any) -> dict[str, Any]:
    """Rates after each step, which steps raised, and whether anything moved where one did."""
    scheduler = RewardAdaptiveScheduler(sgd(0.1, 0.3), **SETTINGS, **settings)
    trace, raised, moved = [], [], []
    for step, pair in enumerate(rewards):
        reward = torch.ones(2) if isinstance(pair[rank], str) and pair[rank] == "two elements" else pair[rank]
        before = scheduler.state_dict()
        try:
            scheduler.observe(reward)
        except (TypeError, ValueError):
            raised.append(step)
            moved.append(scheduler.state_dict() != before)
        trace.append(lrs(scheduler.optimizer))
    return {"trace": trace, "raised": raised, "moved": moved, "skipped": scheduler.num_skipped}


@dataclass(slots=True)
class Brake(Rule):
    """Multiply the rate by the second signal."""

    extra_signals: ClassVar[tuple[str, ...]] = ("kl",)
    factor: float = state(1.0)

    def observe(self, signal: Any, kl: Any) -> None:
        self.factor = 1.0 if kl != kl else 1.0 + kl

    def next_lr(self, lr: Any, base_lr: Any) -> Any:
        return lr * self.factor


def extra_signals(rank: int) -> dict[str, Any]:
    """Rates after steps with different second signals, and which steps raised; the last two are refused."""
    scheduler = RewardAdaptiveScheduler(sgd(0.1), Brake(), sync=True)
    second: list[tuple[Any, Any]] = [(0.5, 1.5), (None, 0.5), (nan, None), ("two elements", 0.5), ("missing", 0.5)]
    trace, raised = [], []
    for step, pair in enumerate(second):
        kl = torch.ones(2) if pair[rank] == "two elements" else pair[rank]
        try:
            scheduler.observe(1.0, **({} if pair[rank] == "missing" else {"kl": kl}))
        except (TypeError, ValueError):
            raised.append(step)
        trace += lrs(scheduler.optimizer)
    return {"trace": trace, "raised": raised}


def drift() -> dict[str, Any]:
    """Without an exchange: how often it warns in many observations."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler = RewardAdaptiveScheduler(sgd(0.1))
        at_construction = len(caught)
        for _ in range(300):
            scheduler.observe(0.25)
    return {"at_construction": at_construction, "messages": [str(w.message) for w in caught]}


def counted(calls: dict[str, int], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls[name] += 1
        return function(*args, **kwargs)

    return call


def collectives() -> list[int]:
    """How many collectives each of four observations enters."""
    calls = dict.fromkeys(COLLECTIVES, 0)
    originals = {name: getattr(dist, name) for name in COLLECTIVES}
    scheduler = RewardAdaptiveScheduler(sgd(0.1), sync=True, on_nonfinite="skip")
    out = []
    for name, function in originals.items():
        setattr(dist, name, counted(calls, name, function))
    for reward in (0.5, None, nan, torch.tensor([0.5])):
        before = sum(calls.values())
        scheduler.observe(reward)
        out.append(sum(calls.values()) - before)
    for name, function in originals.items():
        setattr(dist, name, function)
    return out


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=40))
    group = dist.new_group([0, 1])
    report: dict[str, Any] = {
        "default group": follow(rank, REWARDS["both"], sync=True),
        "given group": follow(rank, REWARDS["both"], sync=group),
        "absent": follow(rank, REWARDS["absent"], sync=True),
        "raise": follow(rank, REWARDS["nonfinite"], sync=True),
        "skip": follow(rank, REWARDS["nonfinite"], sync=True, on_nonfinite="skip"),
        "several": follow(rank, REWARDS["several"], sync=True),
        "unreadable": follow(rank, REWARDS["unreadable"], sync=True),
        "unreadable, skipping": follow(rank, REWARDS["unreadable"], sync=True, on_nonfinite="skip"),
        "extra signals": extra_signals(rank),
        "drift": drift(),
        "collectives": collectives(),
    }
    if rank == 0:  # a group of one rank has no other rank to wait for
        alone = dist.new_group([0], use_local_synchronization=True)
        report["alone"] = follow(rank, REWARDS["both"], sync=alone)
    Path(folder, f"rank{rank}.json").write_text(json.dumps(report))
    dist.destroy_process_group()
