"""The loop that the README shows, as it stands, with a small model."""

from math import log

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from rasched import RewardAdaptiveScheduler


def test_the_quick_start_runs_as_it_stands() -> None:
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(3, 1)
    dataloader = torch.randn(20, 8, 3, generator=generator)
    rates = []

    def compute_loss_and_reward(batch: Tensor) -> tuple[Tensor, Tensor]:
        rates.append(optimizer.param_groups[0]["lr"])
        loss = (model(batch) - batch.sum(-1, keepdim=True)).square().mean()
        return loss, -loss

    optimizer = AdamW(model.parameters(), lr=5e-5)
    scheduler = RewardAdaptiveScheduler(
        optimizer, rule="kelly", ema_reward_beta=0.9, min_lr=1e-6, max_lr=1e-3, kelly_gain=0.2, kelly_temp=1.0
    )
    for batch in dataloader:
        loss, reward = compute_loss_and_reward(batch)
        loss.backward()
        optimizer.step()
        scheduler.observe(R=reward)
        optimizer.zero_grad()

    assert rates[0] == 5e-5
    # Every reward is negative: a falling rate, by at most a fifth per step, down to its bound.
    assert all(b < a and b >= 0.8 * a for a, b in zip(rates[:10], rates[1:11], strict=True))
    assert scheduler.get_lr() == [optimizer.param_groups[0]["lr"]]
    assert log(scheduler.get_lr()[0]) == pytest.approx(log(1e-6), abs=1.0)
