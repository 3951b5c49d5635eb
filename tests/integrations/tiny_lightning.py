"""A linear model in a real Lightning Trainer, with a reward for each batch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lr_recording import LR, record_lrs
from torch.utils.data import DataLoader, Dataset

from rasched import RewardAdaptiveScheduler


def dense(batch_idx: int) -> float | None:
    return math.sin(3.0 * batch_idx + 1.0)


def sparse(batch_idx: int) -> float | None:
    return dense(batch_idx) if batch_idx % 3 == 0 else None


class Rows(Dataset[torch.Tensor]):
    """The same row everywhere: a resume in mid-epoch starts Lightning's data afresh."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.linspace(-1.0, 1.0, 4)


class Tiny(pl.LightningModule):
    """Returns its reward from training_step and logs it; ``how`` says what configure_optimizers returns."""

    def __init__(self, how: str = "scheduler", rewards: Any = dense, log: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Linear(4, 1)
        self.how, self.rewards, self.log_reward = how, rewards, log
        self.batches = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["batches"] = self.batches

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.batches = checkpoint["batches"]

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> dict[str, Any]:
        reward = self.rewards(self.batches)
        self.batches += 1
        if self.log_reward and reward is not None:
            self.log("reward", torch.tensor(reward), sync_dist=self.how == "plateau synced")
        return {"loss": self.net(batch).pow(2).mean(), "reward": reward}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=LR)
        self.rates = record_lrs(optimizer)
        if self.how == "optimizer":
            return optimizer
        self.scheduler = RewardAdaptiveScheduler(optimizer, sync=self.how == "sync")
        if self.how == "lists":
            return [optimizer], [self.scheduler]
        entry: dict[str, Any] = {"scheduler": self.scheduler, "interval": "step"}
        if self.how.startswith("plateau"):
            entry |= {"monitor": "reward", "reduce_on_plateau": True}
        if self.how == "monitor only":
            entry |= {"monitor": "reward"}
        return {"optimizer": optimizer, "lr_scheduler": entry}


def fit(module: pl.LightningModule, callbacks: Any, folder: Path | str, **arguments: Any) -> pl.Trainer:
    settings: dict[str, Any] = {
        "max_steps": 8,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_checkpointing": any(isinstance(callback, pl.callbacks.Checkpoint) for callback in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": str(folder),
    }
    resume = arguments.pop("ckpt_path", None)
    weights_only = arguments.pop("weights_only", None)
    trainer = pl.Trainer(**{**settings, **arguments}, callbacks=list(callbacks))
    trainer.fit(module, DataLoader(Rows(), batch_size=2), ckpt_path=resume, weights_only=weights_only)
    return trainer
