"""Random programs of calls: the scheduler does what the independent model of the contract does."""

import json
import warnings
from copy import deepcopy
from math import inf, isclose, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from optimizers import lrs, momenta, parameter, sgd
from reference import RULES
from reference_scheduler import Model, ModelGroup
from torch.optim.lr_scheduler import LinearLR, SequentialLR

from rasched import RewardAdaptiveScheduler

LATTICE = st.integers(-16, 16).map(lambda n: n / 8)
FORMS: list[Any] = [float, np.float64, np.float32, torch.tensor, lambda r: torch.tensor([r]), lambda r: np.array([[r]])]
NOT_FINITE = [nan, inf, -inf, 2**2000, torch.tensor(nan), np.float32("inf")]
NO_REWARD = [torch.ones(2), np.ones(3), "0.5", object(), 1j, np.ma.masked, torch.empty((), device="meta")]
BASES = st.sampled_from((0.05, 0.1, 0.4))
WRITER = "another writer set the learning rate"


class SchedulerPrograms(RuleBasedStateMachine):
    """One scheduler, its model, and calls in any order; after each call both must agree."""

    @initialize(
        name=st.sampled_from(RULES),
        bases=st.lists(BASES, min_size=1, max_size=3),
        tensor=st.booleans(),
        warm_up=st.none() | st.integers(1, 5),
        normalize=st.sampled_from((None, "center", "standardize")),
        beta=st.sampled_from((None, 0.0, 0.6)),
        bounds=st.sampled_from((None, "numbers", "lists")),
        on_nonfinite=st.sampled_from(("raise", "skip")),
        adapt_momentum=st.booleans(),
    )
    def construct(
        self,
        name: str,
        bases: list[float],
        tensor: bool,
        warm_up: int | None,
        normalize: str | None,
        beta: float | None,
        bounds: str | None,
        on_nonfinite: str,
        adapt_momentum: bool,
    ) -> None:
        self.rates = [torch.tensor(base, dtype=torch.float64) if tensor else base for base in bases]
        self.optimizer = sgd(*self.rates, momentum=0.9)
        low, high = (0.01, 1.0) if bounds else (None, None)
        self.bounds = bounds
        one_per_group = bounds == "lists"
        self.settings: dict[str, Any] = {
            "rule": name,
            "normalize": normalize,
            "normalize_rate": 0.1,
            "ema_reward_beta": beta,
            "min_lr": [low] * len(bases) if one_per_group else low,
            "max_lr": [high] * len(bases) if one_per_group else high,
            "on_nonfinite": on_nonfinite,
            "adapt_momentum": adapt_momentum,
            "trend_up": 1.3,
            "kelly_gain": 0.4,
            "variance_window": 3,
        }
        self.scheduler = RewardAdaptiveScheduler(self.optimizer, **self.settings)
        self.both: SequentialLR | None = None
        self.epoch, self.milestone = 0, warm_up or 0
        self.model = Model(
            rule=name,
            groups=[self._group(base, tensor) for base in bases],
            is_active=warm_up is None,
            adapt_momentum=adapt_momentum,
            skips=on_nonfinite == "skip",
            signal_settings={"normalize": normalize, "normalize_rate": 0.1, "ema_reward_beta": beta},
            rule_settings={"trend_up": 1.3, "kelly_gain": 0.4, "variance_window": 3},
        )
        if warm_up is not None:
            linear = LinearLR(self.optimizer, start_factor=0.2, total_iters=7)
            self.both = SequentialLR(self.optimizer, [linear, self.scheduler], [warm_up])
            self.model.others_wrote(lrs(self.optimizer))
        self.saved: list[tuple[str, dict[str, Any], Model]] = []
        self.is_undecidable = False

    def _group(self, base: float, tensor: bool) -> ModelGroup:
        low, high = (0.01, 1.0) if self.bounds else (base / 100, base * 100)
        return ModelGroup(base, low, high, base, 0.9, base, tensor)

    def _call(self, function: Any, *args: Any, **kwargs: Any) -> int:
        """Call, and return how often it warned of another writer."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function(*args, **kwargs)
        return sum(WRITER in str(warning.message) for warning in caught)

    @rule(reward=LATTICE, form=st.sampled_from(FORMS), by=st.sampled_from(("observe", "keyword", "step")))
    def observe(self, reward: float, form: Any, by: str) -> None:
        value = form(reward)
        if by == "keyword":
            warned = self._call(self.scheduler.observe, R=value, kl=0.1)
        else:
            warned = self._call(self.scheduler.observe if by == "observe" else self.scheduler.step, value)
        assert warned == self.model.observe(reward)
        self.is_undecidable = self.model.rule == "trend" and self.model.is_near_tie()

    @rule()
    def observe_none(self) -> None:
        assert self._call(self.scheduler.observe, None) == self.model.observe(None) == 0

    @rule(reward=st.sampled_from(NOT_FINITE))
    def observe_not_finite(self, reward: Any) -> None:
        if self.model.skips:
            assert self._call(self.scheduler.observe, reward) == 0
            self.model.skip()
        else:
            with pytest.raises(ValueError, match="not finite"):
                self.scheduler.observe(reward)

    @rule(reward=st.sampled_from(NO_REWARD))
    def observe_no_reward(self, reward: Any) -> None:
        with pytest.raises((TypeError, ValueError), match="a reward must"):
            self.scheduler.observe(reward)

    @rule(epoch=st.sampled_from((None, 1, 7, True, False)))
    def step(self, epoch: Any) -> None:
        assert self._call(self.scheduler.step, epoch) == 0

    @precondition(lambda self: self.both is not None)
    @rule()
    def step_the_sequence(self) -> None:
        self.optimizer.step()
        self.epoch += 1
        assert self.both is not None
        assert self._call(self.both.step) == 0
        if self.epoch < self.milestone:
            self.model.others_wrote(lrs(self.optimizer))
        elif self.epoch == self.milestone:
            self.model.hand_over()

    @rule(index=st.integers(0, 2), lr=st.sampled_from((None, 0.0213, 0.1171, 0.3137)), in_place=st.booleans())
    def another_writer(self, index: int, lr: float | None, in_place: bool) -> None:
        """Write the value that stands there, or one that no rule gives but for a rounding."""
        group = self.optimizer.param_groups[index % len(self.optimizer.param_groups)]
        lr = float(group["lr"]) if lr is None else lr
        if in_place and isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
        self.model.others_wrote(lrs(self.optimizer))

    @precondition(lambda self: len(self.model.groups) < 4)
    @rule(base=BASES, tensor=st.booleans())
    def add_a_group(self, base: float, tensor: bool) -> None:
        lr = torch.tensor(base, dtype=torch.float64) if tensor else base
        self.optimizer.add_param_group({"params": [parameter()], "lr": lr, "momentum": 0.9})
        if self.bounds == "lists":
            for call in (self.scheduler.get_lr, self.scheduler.state_dict, lambda: self.scheduler.observe(0.5)):
                with pytest.raises(ValueError, match="list"):
                    call()
            self.optimizer.param_groups.pop()
        else:
            self.model.add(self._group(base, tensor))

    @precondition(lambda self: self.bounds == "numbers")
    @rule()
    def add_a_group_outside_the_bounds(self) -> None:
        self.optimizer.add_param_group({"params": [parameter()], "lr": 5.0, "momentum": 0.9})
        for call in (self.scheduler.get_lr, self.scheduler.state_dict, lambda: self.scheduler.observe(0.5)):
            with pytest.raises(ValueError, match="bounds"):
                call()
        self.optimizer.param_groups.pop()

    @rule()
    def write_again(self) -> None:
        assert self._call(self.scheduler.apply) == 0
        self.model.apply()

    @precondition(lambda self: len(self.saved) < 3)
    @rule()
    def save(self) -> None:
        text = json.dumps(self.scheduler.state_dict(), allow_nan=False)
        self.saved.append((text, deepcopy(self.optimizer.state_dict()), self.model.copy()))

    @precondition(lambda self: bool(self.saved))
    @rule(index=st.integers(0, 2), optimizer=st.sampled_from(("no", "before", "after")))
    def load(self, index: int, optimizer: str) -> None:
        text, optimizer_state, then = self.saved[index % len(self.saved)]
        if len(then.groups) != len(self.model.groups):
            with pytest.raises(ValueError, match="parameter groups"):
                self.scheduler.load_state_dict(json.loads(text))
            return
        if optimizer == "before":
            self.optimizer.load_state_dict(deepcopy(optimizer_state))
        assert self._call(self.scheduler.load_state_dict, json.loads(text)) == 0
        if optimizer == "after":
            self.optimizer.load_state_dict(deepcopy(optimizer_state))
        self.model.load(then, optimizer != "no")

    @precondition(lambda self: not self.is_undecidable)
    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        model, scheduler = self.model, self.scheduler
        held = [group.lr for group in model.groups]
        assert all(isclose(a, b, rel_tol=1e-11) for a, b in zip(lrs(self.optimizer), held, strict=True))
        assert scheduler.get_lr() == scheduler.get_last_lr() == lrs(self.optimizer)
        assert momenta(self.optimizer) == pytest.approx([group.momentum for group in model.groups], abs=1e-11)
        assert (scheduler.num_observed, scheduler.num_skipped) == (len(model.rewards), model.num_skipped)
        signals = model.signals()
        assert scheduler.last_signal == (pytest.approx(signals[-1], rel=1e-9, abs=1e-12) if signals else None)
        assert scheduler.base_lrs == [group.base for group in model.groups]


TestSchedulerPrograms = SchedulerPrograms.TestCase
TestSchedulerPrograms.settings = settings(max_examples=60, stateful_step_count=25)
