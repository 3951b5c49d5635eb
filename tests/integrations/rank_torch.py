"""What one rank of a data-parallel training does; results are plain lists, which travel between processes."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from rasched import RewardAdaptiveScheduler

STEPS = 6
nan = math.nan

# rewards of rank 0 and rank 1, settings
SCENARIOS: dict[str, tuple[list[list[float | None]], dict[str, Any]]] = {
    "naive": ([[1.0] * STEPS, [-1.0] * STEPS], {}),
    "sync": ([[1.0] * STEPS, [-0.5] * STEPS], {"sync": True}),
    "none on one rank": ([[1.0, None, 1.0, None, 0.2, None], [-0.5, 0.3, None, None, 0.3, 0.1]], {"sync": True}),
    "none on rank 1": ([[1.0] * STEPS, [None] * STEPS], {"sync": True}),
    "none on both": ([[None] * STEPS, [None] * STEPS], {"sync": True}),
    "nan on one rank": ([[1.0, nan, 1.0, 0.5, nan, 1.0], [0.5] * STEPS], {"sync": True, "on_nonfinite": "skip"}),
    "group": ([[1.0] * STEPS, [-0.5] * STEPS], {"sync": "a group"}),
}


def train(rank: int, rewards: list[float | None], settings: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(0)
    model = DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    if "sync" in settings and settings["sync"] is not True:
        settings = {**settings, "sync": dist.new_group([0, 1])}
    scheduler = RewardAdaptiveScheduler(optimizer, "kelly", **settings)
    generator = torch.Generator().manual_seed(rank)
    rates = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for reward in rewards:
            model(torch.randn(8, 4, generator=generator)).pow(2).mean().backward()
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.observe(R=reward)
            optimizer.zero_grad()
    weights = [p.detach().flatten().tolist() for p in model.parameters()]
    return {
        "rates": rates,
        "weights": weights,
        "warnings": [str(w.message) for w in caught if "rank" in str(w.message)],
        "observed": scheduler.num_observed,
        "skipped": scheduler.num_skipped,
    }


def raises_together(rewards: list[float]) -> str:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = RewardAdaptiveScheduler(optimizer, sync=True)
    try:
        scheduler.observe(R=rewards[dist.get_rank()])
    except ValueError as error:
        return str(error)
    return "no error"


def all_scenarios(rank: int) -> dict[str, Any]:
    results: dict[str, Any] = {name: train(rank, rewards[rank], s) for name, (rewards, s) in SCENARIOS.items()}
    results["nan raises"] = raises_together([nan, 0.5])
    return results
