"""What one rank of a transformers.Trainer, or of a loop with Accelerate, does; results are plain lists."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

import torch
from accelerate import Accelerator
from lr_recording import record_lrs
from tiny_trainer import SETTINGS, logged_rates, make_model, make_optimizer, make_trainer

from rasched import RewardAdaptiveScheduler, RewardObserveCallback

STEPS = 6
OWN = [[1.0, -0.5, 0.3, 0.2, 0.9, 0.1], [-0.4, 0.8, -0.6, 0.1, -0.7, 0.0]]  # each rank's rewards
SPARSE: list[list[float | None]] = [[1.0, None, 0.3, None, 0.9, None], [-0.4, 0.8, None, None, -0.7, 0.0]]


def train(rank: int, rewards: list[Any], form: int, **settings: Any) -> dict[str, Any]:
    model = make_model()
    optimizer = make_optimizer(model)
    scheduler = RewardAdaptiveScheduler(optimizer, **SETTINGS, **settings)
    callback = RewardObserveCallback(scheduler, lambda step: rewards[rank][step - 1])
    optimizers = (optimizer, scheduler if form == 2 else None)
    rates = record_lrs(optimizer)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = make_trainer(
            folder, model, optimizers, [callback], ddp_backend="gloo", ddp_find_unused_parameters=False
        )
        assert trainer.args.world_size == 2
        trainer.train()
    return {
        "rates": rates,
        "logged": logged_rates(trainer) if rank == 0 else None,
        "weights": [p.detach().flatten().tolist() for p in model.parameters()],
        "warnings": [str(w.message) for w in caught if "several ranks" in str(w.message)],
    }


def accelerate_loop(rank: int, sync: bool) -> dict[str, Any]:
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    raw = torch.nn.Linear(4, 1)
    model, optimizer = accelerator.prepare(raw, torch.optim.AdamW(raw.parameters(), lr=1e-3))
    scheduler = RewardAdaptiveScheduler(optimizer, sync=sync, **SETTINGS)
    prepared = accelerator.prepare(scheduler)
    generator = torch.Generator().manual_seed(rank)
    rates = record_lrs(scheduler.optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(STEPS):
            accelerator.backward(model(torch.randn(8, 4, generator=generator)).pow(2).mean())
            optimizer.step()
            prepared.step()  # wrapped, it steps ours once a process
            scheduler.observe(R=OWN[rank][step])
            optimizer.zero_grad()
    return {"rates": rates, "weights": [p.detach().flatten().tolist() for p in raw.parameters()]}


def all_scenarios(rank: int) -> dict[str, Any]:
    return {
        "accelerate naive": accelerate_loop(rank, sync=False),
        "accelerate sync": accelerate_loop(rank, sync=True),
        **{f"form {form} naive": train(rank, OWN, form) for form in (1, 2)},
        **{f"form {form} sync": train(rank, OWN, form, sync=True) for form in (1, 2)},
        **{f"form {form} sparse": train(rank, SPARSE, form, sync=True) for form in (1, 2)},
    }
