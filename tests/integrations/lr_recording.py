"""What every integration test compares: the rate at each optimizer step, and the rates that a plain loop gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from rasched import RewardAdaptiveScheduler

LR = 1e-3


def record_lrs(optimizer: torch.optim.Optimizer) -> list[float]:
    """Return a list that grows by the rate of the first group at each real step of the raw optimizer."""
    rates: list[float] = []
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: rates.append(float(opt.param_groups[0]["lr"])))
    return rates


def intended_lrs(rewards: Iterable[float | None], lr: float = LR, **settings: Any) -> list[float]:
    """Return the rate of each step of the README's loop, which no framework interferes with."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = RewardAdaptiveScheduler(optimizer, **settings)
    rates = []
    for reward in rewards:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.observe(R=reward)
    return rates
