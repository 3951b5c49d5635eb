"""Optimizers and a small regression to try schedulers on."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn, optim

from rasched import RewardAdaptiveScheduler


def parameter(fill: float = 0.0) -> nn.Parameter:
    return nn.Parameter(torch.full((3, 2), fill))


def sgd(*lrs: float | Tensor, **options: Any) -> optim.SGD:
    """SGD with one group per rate; nothing has a gradient, so its steps are free."""
    return optim.SGD([{"params": [parameter()], "lr": lr} for lr in lrs], lr=0.1, **options)


def lrs(optimizer: optim.Optimizer) -> list[float]:
    """What the optimizer would use now, read from its groups."""
    return [float(group["lr"]) for group in optimizer.param_groups]


def momenta(optimizer: optim.Optimizer) -> list[float]:
    return [float(g["momentum"] if "momentum" in g else g["betas"][0]) for g in optimizer.param_groups]


def snapshot(scheduler: RewardAdaptiveScheduler) -> tuple[Any, ...]:
    """Everything that an observation may change: rates, momenta and the scheduler's state."""
    settings = [{k: v for k, v in g.items() if k != "params"} for g in scheduler.optimizer.param_groups]
    return deepcopy((settings, scheduler.state_dict(), scheduler.get_lr(), scheduler.num_skipped))


class SignSGD(optim.Optimizer):
    """A third party's optimizer: it uses none of torch's conventions but the groups and their rate."""

    def __init__(self, params: Iterable[Any], lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad.sign() * group["lr"])
        return loss


Make = Callable[[list[nn.Parameter]], optim.Optimizer]
EVERY: dict[str, Make] = {
    "SGD": lambda p: optim.SGD(p, lr=0.05),
    "SGD with momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.05),
    "AdamW": lambda p: optim.AdamW(p, lr=0.05),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.05),
    "RMSprop with momentum": lambda p: optim.RMSprop(p, lr=0.05, momentum=0.9),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.05),
    "Adadelta": lambda p: optim.Adadelta(p, lr=0.05),
    "Adafactor": lambda p: optim.Adafactor(p, lr=0.05),
    "NAdam": lambda p: optim.NAdam(p, lr=0.05),
    "RAdam": lambda p: optim.RAdam(p, lr=0.05),
    "Adamax": lambda p: optim.Adamax(p, lr=0.05),
    "LBFGS": lambda p: optim.LBFGS(p, lr=0.05),
    **({"Muon": lambda p: optim.Muon(p, lr=0.05)} if hasattr(optim, "Muon") else {}),  # since torch 2.9
    "Rprop": lambda p: optim.Rprop(p, lr=0.05),
    "ASGD": lambda p: optim.ASGD(p, lr=0.05),
    "a third party's": lambda p: SignSGD(p, lr=0.05),
}
# The optimizers that have something for adapt_momentum to move.
MOMENTUM = [
    name
    for name in ("SGD with momentum", "Adam", "AdamW", "RMSprop with momentum", "NAdam", "RAdam", "Adamax", "Muon")
    if name in EVERY
]


class Regression:
    """Two weight matrices fitted to fixed data; the reward of a step is its negative loss, so rates feed back."""

    def __init__(self, make: Make) -> None:
        generator = torch.Generator().manual_seed(7)
        self.inputs, self.targets = (torch.randn(8, n, generator=generator) for n in (4, 2))
        self.weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((4, 3), (3, 2))]
        self.optimizer = make(self.weights)

    def step(self) -> float:
        """One optimizer step (with a closure, which LBFGS needs and the others take); its reward."""

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            first, second = self.weights
            loss = (self.inputs @ first @ second - self.targets).square().mean()
            loss.backward()
            return loss

        return -self.optimizer.step(closure).item()

    def copy(self) -> list[Tensor]:
        return [w.detach().clone() for w in self.weights]
