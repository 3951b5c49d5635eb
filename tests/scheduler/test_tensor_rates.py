"""A tensor rate is written in place, never read back, and never shared between two groups."""

from typing import Any

import pytest
import torch
from optimizers import lrs, parameter, sgd
from torch import Tensor, optim
from torch.utils._python_dispatch import TorchDispatchMode

from rasched import RewardAdaptiveScheduler

REWARDS = [0.5, -0.3, 0.9, 0.1, -0.7, 0.2] * 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", ["kelly", "scaling", "trend", "variance"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_tensor_rate_is_written_in_place_and_never_read_back(
    rule: str, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    rate = torch.full(shape, 0.25, dtype=dtype)
    ours, theirs = sgd(rate), sgd(0.25)
    scheduler, control = RewardAdaptiveScheduler(ours, rule), RewardAdaptiveScheduler(theirs, rule)
    version = rate._version
    for t, reward in enumerate(REWARDS):
        scheduler.observe(reward)
        control.observe(reward)
        assert ours.param_groups[0]["lr"] is rate
        # Exactly the rounded value: a rate read back from float32 would have drifted after a few products.
        assert torch.equal(rate, torch.full(shape, control.get_lr()[0], dtype=dtype)), t
    assert rate._version > version
    assert ours.param_groups[0]["initial_lr"] == 0.25
    assert control.get_lr() != [0.25]


def test_constructing_leaves_the_users_tensor_in_its_group_and_unwritten() -> None:
    rate = torch.tensor(0.25)
    optimizer = sgd(rate)
    RewardAdaptiveScheduler(optimizer, adapt_momentum=False)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate._version == 0


def test_groups_that_share_one_tensor_get_their_own() -> None:
    rate = torch.tensor(0.25, dtype=torch.float64)
    optimizer = optim.SGD(
        [{"params": [parameter()]}, {"params": [parameter()]}, {"params": [parameter()], "lr": 0.5}], lr=rate
    )
    assert optimizer.param_groups[1]["lr"] is optimizer.defaults["lr"] is rate
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", max_lr=[0.3, 1.0, 1.0])
    first, second, _ = (group["lr"] for group in optimizer.param_groups)
    assert first is rate
    assert second is not rate and isinstance(second, Tensor)
    assert optimizer.defaults["lr"] is not rate
    scheduler.observe(1.0)
    assert lrs(optimizer) == [0.3, 0.5, 1.0]
    assert float(optimizer.defaults["lr"]) == 0.25
    assert optimizer.param_groups[0]["lr"] is rate
    assert optimizer.param_groups[1]["lr"] is second


def test_groups_added_later_do_not_share_the_default_tensor() -> None:
    optimizer = optim.SGD([parameter()], lr=torch.tensor(0.25, dtype=torch.float64))
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling")
    scheduler.observe(0.0)
    for _ in range(2):  # both take optimizer.defaults["lr"], which is one tensor
        optimizer.add_param_group({"params": [parameter()]})
        scheduler.observe(1.0)
        assert lrs(optimizer) == pytest.approx([0.5] * len(optimizer.param_groups))
        assert float(optimizer.defaults["lr"]) == 0.25
    tensors = [group["lr"] for group in optimizer.param_groups]
    assert len({id(t) for t in tensors}) == 3


def adam(beta: Tensor, other: Tensor | None = None, **options: Any) -> optim.Adam:
    groups = [{"params": [parameter()], "lr": torch.tensor(lr, dtype=torch.float64)} for lr in (0.1, 0.2)]
    betas = [(beta, torch.tensor(0.999)), (beta if other is None else other, torch.tensor(0.99))]
    return optim.Adam([g | {"betas": b} for g, b in zip(groups, betas, strict=True)], lr=torch.tensor(0.1), **options)


def test_a_tensor_beta_is_written_in_place() -> None:
    betas = [torch.tensor(0.9, dtype=torch.float64) for _ in range(2)]
    optimizer = adam(*betas)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True)
    seconds = [group["betas"][1] for group in optimizer.param_groups]
    scheduler.observe(9.0)  # ten times the base: three quarters of the way up
    for group, beta, second in zip(optimizer.param_groups, betas, seconds, strict=True):
        assert group["betas"][0] is beta
        assert group["betas"][1] is second
        assert float(second) == pytest.approx(0.999 if group is optimizer.param_groups[0] else 0.99)
        assert float(beta) == pytest.approx(0.875, abs=1e-12)


def test_groups_that_share_one_tensor_beta_get_their_own() -> None:
    beta = torch.tensor(0.9, dtype=torch.float64)
    optimizer = adam(beta)
    scheduler = RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True, max_lr=[1.0, 20.0])
    assert optimizer.param_groups[0]["betas"][0] is beta
    assert optimizer.param_groups[1]["betas"][0] is not beta
    scheduler.observe(9.0)
    first, second = (float(group["betas"][0]) for group in optimizer.param_groups)
    assert first == pytest.approx(0.85)
    assert second == pytest.approx(0.875)


def test_a_tensor_momentum_of_defaults_is_left_alone() -> None:
    beta = torch.tensor(0.9, dtype=torch.float64)
    optimizer = optim.Adam([parameter()], lr=torch.tensor(0.1), betas=(beta, torch.tensor(0.999)))
    RewardAdaptiveScheduler(optimizer, "scaling", adapt_momentum=True).observe(9.0)
    assert optimizer.param_groups[0]["betas"][0] is beta
    assert float(beta) == pytest.approx(0.875, abs=1e-12)
    assert float(optimizer.defaults["betas"][0]) == 0.9


class Waits(TorchDispatchMode):
    """Counts what would make a host wait for a device: reading a tensor's number."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.equal.default)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("reward", "waits"), [(0.5, 0), (torch.tensor(0.5), 1)])
@pytest.mark.parametrize("normalize", [None, "standardize"])
def test_observe_reads_the_reward_once_and_nothing_else(reward: Any, waits: int, normalize: str | None) -> None:
    beta = torch.tensor(0.9, dtype=torch.float64)
    optimizer = adam(beta)
    scheduler = RewardAdaptiveScheduler(optimizer, normalize=normalize, ema_reward_beta=0.9, adapt_momentum=True)
    scheduler.observe(0.1)
    with Waits() as counted:
        scheduler.observe(reward)
    assert counted.count == waits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_observe_does_not_wait_for_a_gpu() -> None:
    rate = torch.tensor(0.25, device="cuda")
    scheduler = RewardAdaptiveScheduler(sgd(rate), "scaling", ema_reward_beta=0.0)
    scheduler.observe(torch.tensor([0.5], device="cuda", requires_grad=True))
    assert float(rate) == 0.375
    torch.cuda.set_sync_debug_mode("error")
    try:
        scheduler.observe(1.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert float(rate) == 0.5
    assert scheduler.optimizer.param_groups[0]["lr"] is rate
