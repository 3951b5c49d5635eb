"""Accelerate wraps optimizer and scheduler; ours stays the one that knows rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate")

from accelerate import Accelerator  # noqa: E402
from accelerate.state import AcceleratorState, GradientState, PartialState  # noqa: E402
from accelerate.utils import GradientAccumulationPlugin  # noqa: E402
from lr_recording import LR, intended_lrs, record_lrs  # noqa: E402

from rasched import RewardAdaptiveScheduler  # noqa: E402

pytestmark = pytest.mark.accelerate
REWARDS = [0.3, -1.0, 2.0, 0.5, -0.2, 1.0]


@pytest.fixture(autouse=True)
def _fresh_state() -> Any:
    yield
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def make(**arguments: Any) -> tuple[Any, ...]:
    accelerator = Accelerator(cpu=True, **arguments)
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    scheduler = RewardAdaptiveScheduler(optimizer)
    rates = record_lrs(optimizer)
    return accelerator, *accelerator.prepare(model, optimizer, scheduler), scheduler, rates


def take_step(accelerator: Any, model: Any, optimizer: Any, prepared: Any, micro_batch: int) -> None:
    with accelerator.accumulate(model):
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(micro_batch))
        accelerator.backward(model(inputs).pow(2).mean())
        optimizer.step()
        prepared.step()  # as every script of Accelerate does, bare
        optimizer.zero_grad()


def test_the_prepared_scheduler_steps_bare_and_the_raw_one_observes() -> None:
    accelerator, model, optimizer, prepared, scheduler, rates = make()
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert prepared.scheduler is scheduler  # wrapped, hence in save_state
    assert not hasattr(prepared, "observe")
    for i, reward in enumerate(REWARDS):
        take_step(accelerator, model, optimizer, prepared, i)
        prepared.scheduler.observe(R=reward)
    assert rates == intended_lrs(REWARDS)
    assert prepared.get_last_lr() == scheduler.get_last_lr()


def test_a_scheduler_of_a_wrapped_optimizer_holds_the_raw_one() -> None:
    accelerator = Accelerator(cpu=True)
    raw = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    assert RewardAdaptiveScheduler(accelerator.prepare(raw)).optimizer is raw


@pytest.mark.parametrize("adjust", [True, False])
def test_under_accumulation_rates_move_only_after_real_steps(adjust: bool) -> None:
    plugin = GradientAccumulationPlugin(num_steps=2, adjust_scheduler=adjust)
    accelerator, model, optimizer, prepared, scheduler, rates = make(gradient_accumulation_plugin=plugin)
    for i, reward in enumerate(REWARDS):
        take_step(accelerator, model, optimizer, prepared, i)
        if accelerator.sync_gradients:
            scheduler.observe(R=reward)
    assert rates == intended_lrs(REWARDS[1::2])
    assert scheduler.num_observed == 3


def test_save_state_and_load_state_are_exact(tmp_path: Path) -> None:
    accelerator, model, optimizer, prepared, scheduler, rates = make()
    for i, reward in enumerate(REWARDS):
        take_step(accelerator, model, optimizer, prepared, i)
        scheduler.observe(R=reward)
        if i == 2:
            accelerator.save_state(str(tmp_path))
    _fresh = (AcceleratorState, GradientState, PartialState)
    for state in _fresh:
        state._reset_state()
    accelerator, model_again, optimizer, prepared, again, rates_again = make()
    accelerator.load_state(str(tmp_path))
    for i, reward in enumerate(REWARDS[3:], start=3):
        take_step(accelerator, model_again, optimizer, prepared, i)
        again.observe(R=reward)
    assert rates_again == rates[3:]
    assert again.state_dict() == scheduler.state_dict()
    assert all(map(torch.equal, model.parameters(), model_again.parameters()))


def test_a_step_left_out_by_the_gradient_scaler_is_known_to_the_user() -> None:
    accelerator, *_ = make()
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    model = torch.nn.Linear(4, 1)
    raw = torch.optim.AdamW(model.parameters(), lr=LR)
    scheduler = RewardAdaptiveScheduler(raw)
    done: list[int] = []
    raw.register_step_post_hook(lambda *_: done.append(1))
    optimizer = accelerator.prepare(raw)
    rates = record_lrs(raw)
    for i, reward in enumerate(REWARDS[:4]):
        accelerator.backward(model(torch.ones(2, 4)).mean() * (float("inf") if i in (1, 2) else 1.0))
        optimizer.step()
        if not accelerator.optimizer_step_was_skipped:
            scheduler.observe(R=reward)
        optimizer.zero_grad()
    assert len(done) == 2
    assert rates == intended_lrs([REWARDS[0], REWARDS[3]])
