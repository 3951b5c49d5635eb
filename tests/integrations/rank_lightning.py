"""What one rank of a Lightning training does; results are plain lists."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

from tiny_lightning import Tiny, fit

from rasched.integrations import LightningRewardCallback

OWN = [[1.0, -0.5, 0.3, 0.2, 0.9, 0.1, 0.5, 0.5], [-0.4, 0.8, -0.6, 0.1, -0.7, 0.0, 0.5, -0.5]]
SPARSE = [[1.0, None, 0.3, None, 0.9, None, 0.5, 0.5], [-0.4, 0.8, None, None, -0.7, 0.0, None, -0.5]]


def train(rank: int, how: str, rewards: list[list[Any]], with_callback: bool) -> dict[str, Any]:
    module = Tiny(how, lambda batch: rewards[rank][batch], log=not with_callback)
    callbacks = [LightningRewardCallback()] if with_callback else []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = fit(module, callbacks, folder, devices=2, strategy="ddp", use_distributed_sampler=False)
    assert trainer.world_size == 2
    return {"rates": module.rates, "weights": [p.detach().flatten().tolist() for p in module.parameters()]}


def all_scenarios(rank: int) -> dict[str, Any]:
    return {
        "plateau": train(rank, "plateau", OWN, with_callback=False),
        "plateau synced": train(rank, "plateau synced", OWN, with_callback=False),
        "callback": train(rank, "scheduler", OWN, with_callback=True),
        "callback synced": train(rank, "sync", OWN, with_callback=True),
        "callback sparse": train(rank, "sync", SPARSE, with_callback=True),
    }
