"""Fused steps and Adafactor: what a rate means there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rasched import RewardAdaptiveScheduler

REWARDS = [0.5, -1.0, 2.0, 0.3, -0.2, 0.7]


def parameter() -> torch.nn.Parameter:
    torch.manual_seed(0)
    return torch.nn.Parameter(torch.randn(4, 4))


def run(make: Any, lr: Any, **arguments: Any) -> tuple[torch.Tensor, list[float], RewardAdaptiveScheduler]:
    weight = parameter()
    optimizer = make([weight], lr=lr, **arguments)
    scheduler = RewardAdaptiveScheduler(optimizer)
    rates = []
    for i, reward in enumerate(REWARDS):
        weight.grad = torch.sin(weight.detach() + i)
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.observe(R=reward)
    return weight.detach(), rates, scheduler


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad])
def test_a_fused_step_takes_the_rate_as_a_float_or_a_tensor(make: Any) -> None:
    plain, rates, _ = run(make, 1e-2)
    fused, fused_rates, _ = run(make, 1e-2, fused=True)
    lr = torch.tensor(1e-2, dtype=torch.float64)
    tensor, tensor_rates, scheduler = run(make, lr, fused=True)
    assert rates == fused_rates == tensor_rates
    assert scheduler.optimizer.param_groups[0]["lr"] is lr
    torch.testing.assert_close(fused, plain)
    torch.testing.assert_close(tensor, plain)


def test_a_float64_tensor_rate_gives_the_floats_trajectory_and_a_float32_one_is_close() -> None:
    plain, rates, _ = run(torch.optim.AdamW, 1e-2, foreach=False)
    double, double_rates, _ = run(torch.optim.AdamW, torch.tensor(1e-2, dtype=torch.float64), foreach=False)
    single, single_rates, _ = run(torch.optim.AdamW, torch.tensor(1e-2), foreach=False)
    assert double_rates == rates
    assert torch.equal(double, plain)
    # each rate is rounded when it is written; the scheduler's own stays exact, so the error does not grow
    assert single_rates == pytest.approx(rates, rel=1e-7)
    torch.testing.assert_close(single, plain)


@pytest.mark.filterwarnings("ignore:the saved state had other settings")  # a base rate that float32 rounded
def test_a_checkpoint_of_the_other_kind_of_rate_is_written_as_what_it_then_is() -> None:
    for here, there in ((1e-2, torch.tensor(1e-2)), (torch.tensor(1e-2), 1e-2)):
        _, _, source = run(torch.optim.SGD, there)
        _, _, target = run(torch.optim.SGD, here)
        target.optimizer.load_state_dict(source.optimizer.state_dict())
        target.load_state_dict(source.state_dict())
        target.observe(R=0.5)
        (group,) = target.optimizer.param_groups
        assert type(group["lr"]) is type(there)
        assert float(group["lr"]) == pytest.approx(target.get_lr()[0], rel=1e-7)


def update_size(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter) -> float:
    weight.grad = torch.ones_like(weight)
    before = weight.detach().clone()
    optimizer.step()
    return float((weight.detach() - before).square().mean().sqrt())


@pytest.mark.parametrize(("low", "high", "ratio"), [(1e-3, 1e-2, 10.0), (0.5, 1.0, 1.0)])
def test_the_rate_of_torchs_adafactor_is_a_cap(low: float, high: float, ratio: float) -> None:
    sizes = []
    for lr in (low, high):
        weight = parameter()
        optimizer = torch.optim.Adafactor([weight], lr=1e-2, weight_decay=0.0)
        scheduler = RewardAdaptiveScheduler(optimizer, rule="scaling", max_lr=2.0)
        for _ in range(20):
            update_size(optimizer, weight)
        scheduler.observe(R=lr / 1e-2 - 1)
        assert scheduler.get_lr() == pytest.approx([lr])
        sizes.append(update_size(optimizer, weight))
    assert sizes[1] / sizes[0] == pytest.approx(ratio, rel=1e-3)  # 1 above the cap 1 / sqrt(21): the rate says nothing


def test_transformers_adafactor_needs_relative_step_false() -> None:
    transformers = pytest.importorskip("transformers.optimization")
    with pytest.raises(ValueError, match="no learning rate.*relative_step=False"):
        RewardAdaptiveScheduler(transformers.Adafactor([parameter()]))
    sizes = []
    for lr in (1e-3, 1e-2):
        weight = parameter()
        optimizer = transformers.Adafactor([weight], lr=1e-3, relative_step=False, scale_parameter=False)
        RewardAdaptiveScheduler(optimizer, rule="scaling", scaling_center=0.0).observe(R=lr / 1e-3 - 1)
        sizes.append(update_size(optimizer, weight))
    assert sizes[1] / sizes[0] == pytest.approx(10, rel=1e-3)
