"""In a ChainedScheduler the members multiply the current rate; ours writes nothing before the first reward."""

import warnings

import pytest
from optimizers import lrs, momenta, sgd
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR

from rasched import RewardAdaptiveScheduler


@pytest.mark.parametrize("ours_last", [True, False])
def test_nothing_is_written_before_the_first_observation(ours_last: bool) -> None:
    optimizer, alone = sgd(0.1, momentum=0.9), sgd(0.1)
    ours = RewardAdaptiveScheduler(optimizer, "trend", adapt_momentum=True)
    members = [ExponentialLR(optimizer, gamma=0.9), ours]
    chained = ChainedScheduler(members if ours_last else members[::-1])
    decay = ExponentialLR(alone, gamma=0.9)
    for _ in range(5):
        for each in (optimizer, alone):
            each.step()
        chained.step()
        decay.step()
        ours.observe(None)
        assert lrs(optimizer) == lrs(alone)
        assert momenta(optimizer) == [0.9]


def test_the_first_observation_starts_from_the_base_rate() -> None:
    optimizer = sgd(0.1)
    ours = RewardAdaptiveScheduler(optimizer, "scaling")
    chained = ChainedScheduler([ExponentialLR(optimizer, gamma=0.9), ours])
    optimizer.step()
    chained.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another writer, which the other member is
        ours.observe(1.0)
    assert lrs(optimizer) == pytest.approx([0.2])
