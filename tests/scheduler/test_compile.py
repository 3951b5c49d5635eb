"""Under torch.compile: a tensor rate is written without a recompilation, and `observe` stays out of the graphs."""

import shutil
from collections.abc import Iterator

import pytest
import torch
from optimizers import lrs, parameter
from torch import Tensor, optim

from rasched import RewardAdaptiveScheduler

REWARDS = [0.5, -0.3, 0.9, 0.1, -0.7, 0.2, 0.3, -0.2, 0.6, 0.8]


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    import torch._dynamo.testing  # here: the other tests need not wait for the compiler

    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled_frames(rate: float | Tensor, backend: str) -> int:
    """How often `optimizer.step` was compiled while the rate moved at every step."""
    counter = torch._dynamo.testing.CompileCounterWithBackend(backend)
    weight = parameter(1.0)
    optimizer = optim.SGD([weight], lr=rate)
    scheduler = RewardAdaptiveScheduler(optimizer)
    step = torch.compile(optimizer.step, backend=counter)
    used = 0.0
    for reward in REWARDS[:6]:
        weight.grad = torch.ones_like(weight)
        used += lrs(optimizer)[0]
        step()
        scheduler.observe(reward)
    assert weight.detach().flatten().tolist() == pytest.approx([1 - used] * 6, rel=1e-5)
    assert scheduler.get_lr() != [0.1]
    return int(counter.frame_count)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's compiler, of itself
def test_a_compiled_step_is_compiled_once_for_a_tensor_rate() -> None:
    assert compiled_frames(torch.tensor(0.1), "eager") == 1
    torch._dynamo.reset()
    assert compiled_frames(0.1, "eager") > 1  # so that the line above says something


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.slow  # 20 to 30 s where inductor's cache is cold
def test_inductor_compiles_once_for_a_tensor_rate() -> None:
    """The eager backend turns a changing float into a symbol after one recompilation; inductor never does."""
    assert compiled_frames(torch.tensor(0.1), "inductor") == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_observe_inside_a_compiled_function_does_not_recompile_it() -> None:
    counter = torch._dynamo.testing.CompileCounterWithBackend("eager")
    scheduler = RewardAdaptiveScheduler(optim.SGD([parameter()], lr=0.1), ema_reward_beta=0.5)
    control = RewardAdaptiveScheduler(optim.SGD([parameter()], lr=0.1), ema_reward_beta=0.5)

    @torch.compile(backend=counter)
    def step(x: Tensor) -> Tensor:
        y = x * 2
        scheduler.observe(y.mean())
        return y + 1

    frames = []
    for reward in REWARDS:
        step(torch.full((2,), reward / 2))
        control.observe(torch.full((2,), reward).mean())
        frames.append(counter.frame_count)
    assert frames[2] == frames[-1]
    assert scheduler.get_lr() == pytest.approx(control.get_lr())
