"""Training that was saved and loaded goes on bit for bit: rates and weights, whichever state is loaded first."""

import io
from typing import Any

import pytest
import torch
from optimizers import EVERY, MOMENTUM, Regression, lrs, momenta
from torch import Tensor, optim

from rasched import RewardAdaptiveScheduler

SETTINGS: dict[str, Any] = {"normalize": "standardize", "ema_reward_beta": 0.5, "kelly_gain": 0.5}


def train(regression: Regression, scheduler: RewardAdaptiveScheduler, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        scheduler.observe(regression.step())
        rates += lrs(regression.optimizer)
    return rates


def checkpoint(**states: Any) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def resume(make: Any, saved: dict[str, Any], optimizer_first: bool, **settings: Any) -> tuple[Regression, Any]:
    regression = Regression(make)
    scheduler = RewardAdaptiveScheduler(regression.optimizer, **settings)
    with torch.no_grad():
        for weight, value in zip(regression.weights, saved["weights"], strict=True):
            weight.copy_(value)
    parts = [(regression.optimizer, "optimizer"), (scheduler, "scheduler")]
    for part, name in parts if optimizer_first else reversed(parts):
        part.load_state_dict(saved[name])  # type: ignore[attr-defined]
    return regression, scheduler


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def tensor_rate(make: Any) -> Any:
    """The same optimizer with a float64 tensor for a rate, which a load replaces by another tensor."""

    def with_tensor(weights: Any) -> optim.Optimizer:
        optimizer: optim.Optimizer = make(weights)
        optimizer.param_groups[0]["lr"] = torch.tensor(optimizer.param_groups[0]["lr"], dtype=torch.float64)
        return optimizer

    return with_tensor


CASES = [(name, make, False) for name, make in EVERY.items()] + [
    (f"{name}, tensor rate", tensor_rate(EVERY[name]), False) for name in ("SGD", "RMSprop")
]
CASES += [(f"{name}, momentum moving", EVERY[name], True) for name in MOMENTUM]


@pytest.mark.parametrize(("make", "moving"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_training_resumes_bit_for_bit(make: Any, moving: bool, optimizer_first: bool) -> None:
    settings = SETTINGS | {"adapt_momentum": moving}
    straight = Regression(make)
    scheduler = RewardAdaptiveScheduler(straight.optimizer, **settings)
    train(straight, scheduler, 4)
    saved = checkpoint(
        weights=straight.copy(), optimizer=straight.optimizer.state_dict(), scheduler=scheduler.state_dict()
    )
    resumed, loaded = resume(make, saved, optimizer_first, **settings)
    assert lrs(resumed.optimizer) == lrs(straight.optimizer)
    rates = train(straight, scheduler, 4)
    assert train(resumed, loaded, 4) == rates
    assert len(set(rates)) == 4
    assert equal(resumed.copy(), straight.copy())
    if moving:
        assert momenta(resumed.optimizer) == momenta(straight.optimizer)


def test_the_optimizers_rate_and_momentum_are_restored_without_its_own_state() -> None:
    regression = Regression(EVERY["Adam"])
    scheduler = RewardAdaptiveScheduler(regression.optimizer, adapt_momentum=True, **SETTINGS)
    train(regression, scheduler, 4)
    fresh = Regression(EVERY["Adam"])
    RewardAdaptiveScheduler(fresh.optimizer, adapt_momentum=True, **SETTINGS).load_state_dict(scheduler.state_dict())
    assert lrs(fresh.optimizer) == lrs(regression.optimizer) != [0.05]
    assert momenta(fresh.optimizer) == momenta(regression.optimizer) != [0.9]
    assert fresh.optimizer.param_groups[0]["betas"][1] == 0.999


def test_a_state_saved_before_the_first_observation_loads() -> None:
    fresh = Regression(EVERY["SGD"])
    scheduler = RewardAdaptiveScheduler(fresh.optimizer)
    scheduler.load_state_dict(RewardAdaptiveScheduler(Regression(EVERY["SGD"]).optimizer).state_dict())
    assert lrs(fresh.optimizer) == scheduler.get_lr() == [0.05]
