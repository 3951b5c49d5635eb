"""What one rank of a GRPO training does; results are plain lists."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any

import torch
from lr_recording import record_lrs
from tiny_trl import LR, arguments, letters_a, make_data, make_model, make_tokenizer
from trl import GRPOConfig, GRPOTrainer

from rasched import RewardAdaptiveScheduler, RewardObserveCallback
from rasched.integrations import RewardCollector


def train(by_key: bool, sync: bool) -> dict[str, Any]:
    collector = RewardCollector()
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    scheduler = RewardAdaptiveScheduler(optimizer, normalize="standardize", sync=sync)
    callback = RewardObserveCallback(scheduler, **({"reward_key": "reward"} if by_key else {"reward_fn": collector}))
    more = {"num_generations": 4, "max_completion_length": 6, "max_steps": 4, "ddp_backend": "gloo"}
    rates = record_lrs(optimizer)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = GRPOTrainer(
            model,
            letters_a if by_key else collector.wrap(letters_a),
            GRPOConfig(**arguments(folder, **more)),
            train_dataset=make_data(),
            processing_class=make_tokenizer(),
            optimizers=(optimizer, None),
            callbacks=[callback],
        )
        assert trainer.args.world_size == 2
        trainer.train()
    return {"rates": rates, "weights": [p.detach().flatten().tolist() for p in model.parameters()]}


def all_scenarios(rank: int) -> dict[str, Any]:
    return {
        "key": train(by_key=True, sync=False),
        "collector": train(by_key=False, sync=False),
        "collector synced": train(by_key=False, sync=True),
    }
