"""Compiled, capturable and fused optimizers, with the inductor backend: the eager one hides the recompilations."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch

from rasched import RewardAdaptiveScheduler

pytestmark = [
    pytest.mark.compile,
    pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch's own compiler stack
    pytest.mark.filterwarnings("ignore:.*TF32|.*Online softmax|.*SubprocPool|.*fork:UserWarning"),  # likewise
]
REWARDS = [0.5, -1.0, 2.0, 0.3, -0.2, 0.7]


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Any:
    import torch._inductor.config

    torch._dynamo.reset()
    with torch._inductor.config.patch(compile_threads=1):  # no pool of workers for one small graph
        yield
    torch._dynamo.reset()


def graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"].get("unique_graphs", 0))


def parameter() -> torch.nn.Parameter:
    weight = torch.nn.Parameter(torch.ones(4))
    weight.grad = torch.full((4,), 0.1)
    return weight


@pytest.mark.parametrize("name", ["AdamW capturable", "SGD"])
def test_a_tensor_rate_moves_without_recompiling_the_step(name: str) -> None:
    weight, lr = parameter(), torch.tensor(1e-2)
    optimizer: Any
    if name == "SGD":
        optimizer = torch.optim.SGD([weight], lr=lr)
    else:
        optimizer = torch.optim.AdamW([weight], lr=lr, foreach=True, capturable=True)
    scheduler = RewardAdaptiveScheduler(optimizer)
    torch._dynamo.utils.counters.clear()
    step = torch.compile(optimizer.step)
    counts, rates = [], []
    for reward in REWARDS:
        rates.append(optimizer.param_groups[0]["lr"].item())
        step()
        counts.append(graphs())
        scheduler.observe(R=reward)
        assert optimizer.param_groups[0]["lr"] is lr
    assert counts == [1] * len(REWARDS)
    assert len(set(rates)) == len(REWARDS)


def test_a_float_rate_recompiles_which_is_why_the_page_says_tensor() -> None:
    optimizer = torch.optim.SGD([parameter()], lr=1e-2)
    scheduler = RewardAdaptiveScheduler(optimizer)
    torch._dynamo.utils.counters.clear()
    step = torch.compile(optimizer.step)
    for reward in REWARDS[:3]:
        step()
        scheduler.observe(R=reward)
    assert graphs() > 1


def test_a_scheduler_of_an_optimizer_whose_step_was_compiled_before_works() -> None:
    weight = parameter()
    optimizer: Any = torch.optim.SGD([weight], lr=torch.tensor(1e-2))
    optimizer.step = torch.compile(optimizer.step)
    scheduler = RewardAdaptiveScheduler(optimizer)  # torch's own schedulers wrap step, and fail here
    before = weight.detach().clone()
    for reward in REWARDS[:3]:
        optimizer.step()
        scheduler.observe(R=reward)
    assert scheduler.num_observed == 3
    assert not torch.equal(before, weight)


def test_observe_within_a_compiled_function_is_left_out_of_the_graph() -> None:
    scheduler = RewardAdaptiveScheduler(torch.optim.SGD([parameter()], lr=torch.tensor(1e-2)))
    torch._dynamo.utils.counters.clear()

    @torch.compile
    def train(inputs: torch.Tensor, reward: float) -> torch.Tensor:
        loss = inputs.sum() * 2
        scheduler.observe(reward)
        return loss + 1

    counts = []
    for i in range(6):
        train(torch.ones(4), REWARDS[i % 2])
        counts.append(graphs())
    assert scheduler.num_observed == 6
    assert counts[2:] == [counts[2]] * 4  # traced, it would compile anew at each call
    assert counts[-1] <= 3
