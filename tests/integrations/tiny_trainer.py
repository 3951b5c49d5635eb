"""A language model of 728 weights in a real transformers.Trainer."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from lr_recording import LR
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

gc.freeze()  # each training starts with a gc.collect() over all that the imports left, twice as long as the training

SETTINGS: dict[str, Any] = {"rule": "kelly", "kelly_gain": 0.4}


def make_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            max_position_embeddings=16,
        )
    )


def make_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=LR)


def make_data(rows: int = 96) -> list[dict[str, torch.Tensor]]:
    tokens = torch.randint(0, 16, (rows, 4), generator=torch.Generator().manual_seed(1))
    return [{"input_ids": row, "labels": row} for row in tokens]


def make_arguments(folder: Path | str, **arguments: Any) -> TrainingArguments:
    defaults: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 6,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "learning_rate": LR,
    }
    return TrainingArguments(**{**defaults, **arguments})


def make_trainer(folder: Path | str, model: Any, optimizers: Any, callbacks: Any, **arguments: Any) -> Trainer:
    return Trainer(
        model,
        make_arguments(folder, **arguments),
        train_dataset=make_data(),
        eval_dataset=make_data(4),
        optimizers=optimizers,
        callbacks=list(callbacks),
    )


def logged_rates(trainer: Trainer) -> list[float]:
    return [row["learning_rate"] for row in trainer.state.log_history if "learning_rate" in row]
