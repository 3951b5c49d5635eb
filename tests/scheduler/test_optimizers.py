"""Any optimizer: the scheduler does to it what a loop does that writes the same rate by hand, and nothing else."""

from itertools import chain

import pytest
import torch
from optimizers import EVERY, Regression, lrs
from torch import optim

from rasched import RewardAdaptiveScheduler


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("rule", ["kelly", "none"])
def test_training_is_what_writing_the_rate_by_hand_gives(name: str, rule: str) -> None:
    ours, by_hand = Regression(EVERY[name]), Regression(EVERY[name])
    scheduler = RewardAdaptiveScheduler(ours.optimizer, rule, kelly_gain=0.5, normalize="standardize")
    rates = []
    for _ in range(6):
        reward = ours.step()
        assert by_hand.step() == reward
        scheduler.observe(reward)
        rates.append(scheduler.get_lr())
        assert lrs(ours.optimizer) == rates[-1]
        for group, rate in zip(by_hand.optimizer.param_groups, rates[-1], strict=True):
            group["lr"] = rate
    assert all(map(torch.equal, ours.copy(), by_hand.copy()))
    assert len(set(chain(*rates))) == (1 if rule == "none" else 6)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop"])
def test_the_next_step_uses_the_observed_rate(name: str) -> None:
    still, moved = Regression(EVERY[name]), Regression(EVERY[name])
    scheduler = RewardAdaptiveScheduler(moved.optimizer, "scaling")
    scheduler.observe(1.0)
    before = still.copy()
    still.step()
    moved.step()
    changes = [[(w - b) for w, b in zip(one.copy(), before, strict=True)] for one in (still, moved)]
    torch.testing.assert_close(changes[1], [2 * change for change in changes[0]], rtol=1e-3, atol=1e-4)


def test_an_optimizer_without_a_rate_is_refused_with_the_way_out() -> None:
    """transformers' Adafactor leaves `lr` None by default."""
    optimizer = optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    optimizer.param_groups[0]["lr"] = None
    with pytest.raises(ValueError, match="relative_step"):
        RewardAdaptiveScheduler(optimizer)
