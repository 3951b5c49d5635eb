"""A warm-up in front: until its turn the rule learns and writes nothing, then it starts from the base rate."""

import warnings
from bisect import bisect_right
from typing import Any

import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from optimizers import lrs, momenta, sgd
from torch.optim import SGD
from torch.optim.lr_scheduler import LinearLR, SequentialLR

from rasched import RewardAdaptiveScheduler

BASES = (0.1, 0.3)
REWARDS = [0.5, -0.25, 1.0, 0.75, -0.5, 0.25, 0.125, 1.0, -1.0, 0.5]


class OlderSequentialLR(SequentialLR):
    """Hands over as torch 2.6 does: by calling the next scheduler's `step(0)` instead of its `_update_lr(0)`."""

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        member = self._schedulers[index]
        if self.last_epoch in self._milestones:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's schedulers warn of an epoch as an argument
                member.step(0)
        else:
            member.step()
        self._last_lr = member.get_last_lr()


SEQUENCES = pytest.mark.parametrize("sequence", [SequentialLR, OlderSequentialLR])


class Warmed:
    """Ours behind a LinearLR that would need `ramp` steps, with the milestone after `milestone` of them."""

    def __init__(
        self,
        milestone: int,
        ramp: int,
        ours_first: bool = True,
        tensor: bool = False,
        sequence: type[SequentialLR] = SequentialLR,
        **settings: Any,
    ) -> None:
        bases = [torch.tensor(base, dtype=torch.float64) if tensor else base for base in BASES]
        self.optimizer: SGD = sgd(*bases, momentum=0.9)
        if ours_first:
            self.ours = RewardAdaptiveScheduler(self.optimizer, **settings)
        linear = LinearLR(self.optimizer, start_factor=0.1, total_iters=ramp)
        if not ours_first:
            self.ours = RewardAdaptiveScheduler(self.optimizer, **settings)
        self.both = sequence(self.optimizer, [linear, self.ours], [milestone])

    def step(self, reward: float | None) -> list[float]:
        """One step of training; the rates that the next one will use."""
        self.optimizer.step()
        self.ours.observe(reward)
        self.both.step()
        return lrs(self.optimizer)


def linear_alone(ramp: int, steps: int) -> list[list[float]]:
    optimizer = sgd(*BASES)
    scheduler = LinearLR(optimizer, start_factor=0.1, total_iters=ramp)
    out = []
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        out.append(lrs(optimizer))
    return out


@pytest.mark.parametrize("rule", reference.RULES)
@pytest.mark.parametrize("ours_first", [True, False])
@SEQUENCES
@given(
    milestone=st.integers(1, 6),
    ramp=st.integers(1, 9),
    rewards=st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=8, max_size=16),
)
def test_the_rule_learns_during_the_warm_up_and_starts_from_the_base_rate(
    rule: str, ours_first: bool, sequence: type[SequentialLR], milestone: int, ramp: int, rewards: list[float]
) -> None:
    warmed = Warmed(milestone, ramp, ours_first, sequence=sequence, rule=rule, normalize="center")
    trace = [warmed.step(reward) for reward in rewards]
    before = milestone - 1
    assert trace[:before] == linear_alone(ramp, len(rewards))[:before]
    history = reference.signals(rewards, "center")
    expected = [reference.rates(rule, history, base, base / 100, base * 100, waiting=milestone) for base in BASES]
    assert trace[before] == list(BASES)
    for t in range(before, len(rewards)):
        assert trace[t] == pytest.approx([trajectory[t] for trajectory in expected], rel=1e-12)
    assert trace[-1] == warmed.ours.get_lr()


def test_a_step_without_reward_after_the_milestone_stays_at_the_base_rate() -> None:
    warmed = Warmed(3, 3)
    trace = [warmed.step(None) for _ in range(6)]
    assert trace[2:] == [list(BASES)] * 4


def test_momentum_is_not_written_before_its_turn() -> None:
    warmed = Warmed(4, 4, adapt_momentum=True)
    for reward in REWARDS[:3]:
        warmed.step(reward)
        assert momenta(warmed.optimizer) == [0.9, 0.9]
    for reward in REWARDS[3:6]:
        warmed.step(reward)
    expected = [
        reference.momentum(lr, base / 100, base * 100) for lr, base in zip(warmed.ours.get_lr(), BASES, strict=True)
    ]
    assert momenta(warmed.optimizer) == pytest.approx(expected, abs=1e-13)
    assert momenta(warmed.optimizer) != [0.9, 0.9]


def test_loading_a_state_before_its_turn_writes_nothing() -> None:
    saved, fresh = Warmed(5, 5), Warmed(5, 5)
    for reward in REWARDS[:3]:
        saved.step(reward)
    fresh.step(None)
    before = lrs(fresh.optimizer)
    assert before != lrs(saved.optimizer) and before[0] < BASES[0]
    fresh.ours.load_state_dict(saved.ours.state_dict())  # of another moment of the warm-up, whose rates differ
    assert lrs(fresh.optimizer) == before
    for _ in range(4):
        fresh.step(None)
    assert lrs(fresh.optimizer) == list(BASES)


@pytest.mark.parametrize("at", range(1, 8))
@pytest.mark.parametrize("optimizer_first", [True, False])
@pytest.mark.parametrize("rule", ("kelly", "trend", "scaling"))
@SEQUENCES
def test_training_resumes_on_either_side_of_the_milestone(
    at: int, optimizer_first: bool, rule: str, sequence: type[SequentialLR]
) -> None:
    settings: dict[str, Any] = {"rule": rule, "ema_reward_beta": 0.5, "adapt_momentum": True, "sequence": sequence}
    straight, saved, fresh = (Warmed(4, 6, **settings) for _ in range(3))
    expected = [straight.step(reward) for reward in REWARDS]
    for reward in REWARDS[:at]:
        saved.step(reward)
    states = [(fresh.optimizer, saved.optimizer.state_dict()), (fresh.both, saved.both.state_dict())]
    for part, state in states if optimizer_first else reversed(states):
        part.load_state_dict(state)
    assert lrs(fresh.optimizer) == expected[at - 1]
    assert [fresh.step(reward) for reward in REWARDS[at:]] == expected[at:]
    assert momenta(fresh.optimizer) == momenta(straight.optimizer)


@SEQUENCES
def test_none_writes_the_base_rate_at_the_milestone_and_nothing_after(sequence: type[SequentialLR]) -> None:
    warmed = Warmed(3, 9, rule="none", sequence=sequence)
    trace = [warmed.step(reward) for reward in REWARDS[:4]]
    assert trace[1][0] < BASES[0] and trace[2:] == [list(BASES)] * 2
    warmed.optimizer.param_groups[0]["lr"] = 0.025  # another scheduler may write from here on
    assert [warmed.step(reward) for reward in REWARDS[4:7]] == [[0.025, BASES[1]]] * 3
    assert warmed.ours.get_lr() == [0.025, BASES[1]]


def test_an_epoch_as_an_argument_changes_nothing_once_it_is_its_turn() -> None:
    warmed = Warmed(2, 2)
    for reward in REWARDS[:4]:
        warmed.step(reward)
    before = lrs(warmed.optimizer)
    assert before != list(BASES)
    for epoch in (0, 1, False, True, 7):
        warmed.ours.step(epoch)
    assert lrs(warmed.optimizer) == before


@pytest.mark.parametrize("epoch", [False, True, 1, 5, None])
def test_no_other_argument_ends_the_warm_up(epoch: Any) -> None:
    warmed = Warmed(5, 5)
    warmed.step(0.5)
    before = lrs(warmed.optimizer)
    warmed.ours.step(epoch)
    assert lrs(warmed.optimizer) == before


@pytest.mark.parametrize("rule", ("kelly", "scaling"))
def test_tensor_rates_warm_up_as_floats_do(rule: str) -> None:
    floats, tensors = Warmed(3, 5, rule=rule), Warmed(3, 5, tensor=True, rule=rule)
    kept = [group["lr"] for group in tensors.optimizer.param_groups]
    for reward in REWARDS:
        assert tensors.step(reward) == pytest.approx(floats.step(reward), rel=1e-12)
    assert all(g["lr"] is lr for g, lr in zip(tensors.optimizer.param_groups, kept, strict=True))
