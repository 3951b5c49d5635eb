"""A learning-rate scheduler driven by rewards, for any PyTorch optimizer."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from math import inf, nan
from numbers import Integral
from numbers import Real as RealNumber
from typing import Any

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rasched import stacking
from rasched.rules import Rule
from rasched.rules.factory import make_rule
from rasched.rules.signal import RewardSignal, check_raw_rewards
from rasched.scheduler.bounds import Bound, MomentumBounds
from rasched.scheduler.distributed import all_reduce_reward, ranks_unsynced
from rasched.scheduler.group_lrs import GroupLRs
from rasched.scheduler.param_groups import unwrap_optimizer
from rasched.scheduler.reward import as_float
from rasched.scheduler.state import SchedulerState, checked_values
from rasched.validation import SettingError, suggest_keyword

STEPS_WITHOUT_REWARD_BEFORE_WARNING = 50


class RewardAdaptiveScheduler(LRScheduler):
    r"""Adapt the learning rate of any ``torch.optim`` optimizer to the rewards of the training.

    Call :meth:`observe` with the reward after each ``optimizer.step()``. The reward is normalised and smoothed into a
    signal, the rule computes each group's next rate from it, and the rate is clipped to its bounds.

    It is an ``LRScheduler``, so trainers accept it, but :meth:`step` without an argument changes no rate. Only rewards
    do. After a warm-up in ``SequentialLR`` it starts from the base rate when its turn comes. In a ``ChainedScheduler``
    it writes nothing before the first reward. From then on the other members should not write too.

    Constructing it writes no rate. If the rule starts elsewhere than at the base rate, as ``search_hold``,
    ``kl_adaptive``, ``kl_search`` and ``bandit`` do, call :meth:`apply` before the first step. Without it that one step
    is taken at the base rate. The adapters of :mod:`rasched.integrations` do it themselves.

    Args:
        optimizer: Any ``torch.optim.Optimizer``; each group's base rate is its ``initial_lr``, or its ``lr``.
            For Adafactor the rate is only a cap, Rprop ignores it after the first step, and ASGD follows it late.
        rule: ``"scaling"``, ``"trend"``, ``"variance"``, ``"kelly"``, ``"none"``, or a :class:`~rasched.rules.Rule`
            (copied), as in ``rule=Kelly(gain=0.2)``.
        ema_reward_beta: Weight of the past in the smoothing of the signal, in [0, 1); None for no smoothing.
        normalize: None, ``"center"`` or ``"standardize"`` by running mean and variance.
        normalize_rate: Rate of these statistics. They are cumulative until ``1/t`` falls to it, with 0 for ever.
        min_lr: Lower bound, one number or one per group; None is a hundredth of the group's base rate.
        max_lr: Upper bound, one number or one per group; None is a hundred times the base rate.
        adapt_momentum: Also change ``momentum`` (or the first beta), opposite to the rate.
        min_momentum: Momentum at the upper bound of the rate.
        max_momentum: Momentum at the lower bound of the rate.
        on_nonfinite: ``"raise"`` a ValueError if a reward is not finite, or ``"skip"`` and count it.
        sync: Average the reward over the ranks of the default process group (True) or of the given one. Every rank
            must then call :meth:`observe` for every step, with None if it has no reward.
        horizon: Number of observations in the whole run, for rules that plan over it; None if unknown.
        scaling_center: See :class:`~rasched.rules.Scaling`, as for ``scaling_span``.
        scaling_span: Above 0.
        trend_up: See :class:`~rasched.rules.Trend`; above 1.
        trend_down: In (0, 1).
        variance_alpha: See :class:`~rasched.rules.Variance`; at least 0.
        variance_window: Number of signals, at least 1.
        kelly_gain: See :class:`~rasched.rules.Kelly`; in (0, 1).
        kelly_temp: Above 0, in units of the signal.

    Raises:
        ValueError: A setting or base rate is out of range, the rule's name is unknown, or a rule that needs raw rewards
            came with ``normalize`` or ``ema_reward_beta``.
        TypeError: ``optimizer`` is not an optimizer, or a rule as value came with settings of a named rule.

    Attributes:
        num_observed: Number of rewards observed.
        num_skipped: Number of rewards skipped because they were not finite.
        last_signal: The signal of the last observed reward, None before the first.

    """

    last_signal: float | None

    @suggest_keyword
    def __init__(
        self,
        optimizer: Optimizer,
        rule: str | Rule = "kelly",
        *,
        ema_reward_beta: float | None = None,
        normalize: str | None = None,
        normalize_rate: float = 0.02,
        min_lr: Bound = None,
        max_lr: Bound = None,
        adapt_momentum: bool = False,
        min_momentum: float = 0.85,
        max_momentum: float = 0.95,
        on_nonfinite: str = "raise",
        sync: Any = False,
        horizon: int | None = None,
        scaling_center: float | None = None,
        scaling_span: float | None = None,
        trend_up: float | None = None,
        trend_down: float | None = None,
        variance_alpha: float | None = None,
        variance_window: int | None = None,
        kelly_gain: float | None = None,
        kelly_temp: float | None = None,
    ) -> None:
        # LRScheduler.__init__ is not called: it wraps optimizer.step, which fails on a compiled one, and writes rates.
        self.optimizer = unwrap_optimizer(optimizer)
        rule_settings = {
            "scaling_center": scaling_center,
            "scaling_span": scaling_span,
            "trend_up": trend_up,
            "trend_down": trend_down,
            "variance_alpha": variance_alpha,
            "variance_window": variance_window,
            "kelly_gain": kelly_gain,
            "kelly_temp": kelly_temp,
        }
        self._rule = make_rule(rule, {name: value for name, value in rule_settings.items() if value is not None})
        self._signal = RewardSignal(normalize, normalize_rate, ema_reward_beta)  # type: ignore[arg-type]  # it checks
        check_raw_rewards(self._rule, normalize, ema_reward_beta)
        if on_nonfinite not in ("raise", "skip"):
            raise SettingError("on_nonfinite", "must be 'raise' or 'skip'", on_nonfinite, config_group="signal")
        self._on_nonfinite = on_nonfinite
        self._momentum = MomentumBounds(min_momentum, max_momentum)
        self._sync = sync
        self._horizon = horizon
        self._set_horizon(horizon)
        adapted = self._momentum if adapt_momentum else None
        self._group_lrs = GroupLRs(self.optimizer, self._rule, min_lr, max_lr, adapted)
        # base rate and bounds of the only group, if the fast path through `observe` may be taken
        self._fast_bounds: tuple[float, float, float] | None = None
        self._has_warned_of_ranks = False
        self._next_rank_check = 1  # the number of the observation that checks for other ranks
        self.last_epoch = 0
        self._step_count = 1
        self.num_observed = 0
        self.num_skipped = 0
        self.last_signal = None

    def _set_horizon(self, horizon: Any) -> None:
        if horizon is None:
            if self._rule.needs_horizon:
                problem = f"must be the number of observations in the whole run for rule {self._rule.name}"
                raise SettingError("horizon", problem, None)
            return
        is_number = isinstance(horizon, RealNumber) and not isinstance(horizon, bool)
        if not is_number or not 1 <= horizon < inf or horizon != int(horizon):
            raise SettingError("horizon", "must be a whole number of at least 1", horizon, optional=True)
        self._rule.set_context(horizon=float(horizon))

    @property
    def rule(self) -> Rule:
        """The scheduler's own copy of the rule."""
        return self._rule

    @property
    def base_lrs(self) -> list[float]:  # type: ignore[override]  # floats, where torch's class says float | Tensor
        """The base rates, one per group."""
        return self._group_lrs.base_lrs

    @property
    def _last_lr(self) -> list[float]:  # type: ignore[override]
        return self._group_lrs.lrs

    # -- the reward ----------------------------------------------------------------------------------------------------

    def observe(self, R: Any, **extra: Any) -> None:  # noqa: N803  (the name is the contract's)
        """Observe the reward of the optimizer step just taken, and write the rates of the next step.

        Args:
            R: A number, or a tensor or array of exactly one element; None if the step had no reward.
            extra: Further signals by name, for the rules that need them; other rules ignore them. None or NaN says that
                this step has no value.

        Raises:
            ValueError: The reward is not finite (and ``on_nonfinite="raise"``), or has several elements.
            TypeError: The reward is not a number.

        An exception leaves everything unchanged.

        """
        fast_bounds = self._fast_bounds
        if fast_bounds is not None and R is not None and self.last_epoch >= 0:
            # One group with a float rate that no other writer changed, and a rule that never raises. This does the same
            # as below without its precautions, in a third of the time.
            if type(R) is not float:
                R = as_float(R)
            lrs = self._group_lrs.lrs
            lr = lrs[0]
            param_groups = self.optimizer.param_groups
            group = param_groups[0]
            if group["lr"] is lr and len(param_groups) == 1 and R - R == 0.0:
                count = self.num_observed + 1
                if count == self._next_rank_check:
                    self._check_ranks()
                self.last_signal = signal = self._signal.observe(R)  # type: ignore[assignment]  # a float gives a float
                rule = self._rule
                rule.observe(signal)
                base, low, high = fast_bounds
                new = rule.next_lr(lr, base)
                group["lr"] = lrs[0] = new if low <= new <= high else low if new < low else high  # type: ignore[assignment]
                self.num_observed = count
                return
        self._observe(R, extra)

    def _observe(self, R: Any, extra: Mapping[str, Any]) -> None:  # noqa: N803
        group_lrs, rule, signal = self._group_lrs, self._rule, self._signal
        needed: dict[str, float] = {}
        if type(R) is not float or R - R != 0.0 or self._sync is not False or rule.extra_signals:
            R, needed, is_skipped = self._validate_reward(R, extra)
            if is_skipped:
                self.num_skipped += 1
                return
        group_lrs.sync_groups(rule)
        before = None if rule.never_raises else (stacking.snapshot(signal), stacking.snapshot(rule))
        try:
            if R is None and not rule.observe_missing(**needed):
                return
            if self._is_active():  # before any write, because a warning may be an exception
                group_lrs.warn_if_overwritten(stacklevel=3)
            if R is None:
                self._write_next_lrs()
                return
            if self.num_observed + 1 >= self._next_rank_check:
                self._check_ranks()
            S = signal.observe(R)
            rule.observe(S, **needed)
            self._write_next_lrs()
        except BaseException:
            if before is not None:
                stacking.restore(signal, before[0])
                stacking.restore(rule, before[1])
            raise
        self.last_signal = S  # type: ignore[assignment]  # a float gives a float
        self.num_observed += 1
        is_simple = group_lrs.written and len(group_lrs.lrs) == 1 and group_lrs.momentum is None and rule.writes_lr
        if is_simple and rule.never_raises and not rule.extra_signals and self._sync is False:
            self._fast_bounds = group_lrs.base_lrs[0], group_lrs.lows[0], group_lrs.highs[0]

    def _validate_reward(self, reward: Any, extra: Mapping[str, Any]) -> tuple[float | None, dict[str, float], bool]:
        """Return the reward (None if there is none), the rule's extra signals, and whether a reward was skipped.

        The ranks decide together, so that all of them observe, skip or raise.
        """
        error: Exception | None = None
        value = None
        signals = dict.fromkeys(self._rule.extra_signals, nan)
        try:
            signals = _extra_signals(self._rule, extra)
            value = None if reward is None else as_float(reward)
        except Exception as conversion_error:  # raised after the collective: no other rank must wait for this one
            error = conversion_error
        is_finite = value is None or value - value == 0.0
        local_value = value
        if self._sync is not False:
            synced = all_reduce_reward(value, error is None, self._sync, tuple(signals.values()))
            value, is_finite, signals = (
                synced.reward,
                synced.finite,
                dict(zip(signals, synced.extra_signals, strict=True)),
            )
            if error is None and not synced.readable:
                error = ValueError("another rank could not read its reward: nothing was changed")
        if error is not None:
            raise error
        if is_finite:
            return value, signals, False
        if self._on_nonfinite == "skip":
            return None, signals, True
        call = self.num_observed + self.num_skipped + 1
        is_local = local_value is not None and local_value - local_value != 0.0
        subject = f"reward {local_value!r}" if is_local else "a reward of another rank"
        raise ValueError(
            f"{subject} at observation {call} is not finite: nothing was changed;"
            " on_nonfinite='skip' skips such rewards"
        )

    # -- the rates -----------------------------------------------------------------------------------------------------

    def _is_active(self) -> bool:
        """Return whether it is this scheduler's turn and its rule writes rates."""
        return self.last_epoch >= 0 and self._rule.writes_lr

    def _write_next_lrs(self) -> None:
        """Compute every group's next rate, then write them, if it is this scheduler's turn."""
        if self._is_active():
            self._group_lrs.write(self._group_lrs.next_lrs(self._rule))
            self._group_lrs.write_momentum()

    def apply(self) -> None:
        """Write the scheduler's own rates into the groups again, over those of another writer.

        For rules that start elsewhere than at the base rate, before the first step, and for adapters of frameworks that
        reset the rates. It does nothing before this scheduler's turn, and for ``none``.
        """
        self._group_lrs.sync_groups(self._rule)
        if self._is_active():
            self._group_lrs.write(self._group_lrs.lrs)
            if self._group_lrs.momentum_written:
                self._group_lrs.write_momentum()

    def get_lr(self) -> list[float]:  # type: ignore[override]  # floats, also for tensor rates
        """Return the current rates, one float per group. It never warns, unlike torch's: users log with it."""
        self._group_lrs.sync_groups(self._rule)
        return self._group_lrs.current_lrs()

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """Return the current rates, one float per group."""
        return self.get_lr()

    # -- torch's protocol ----------------------------------------------------------------------------------------------

    def step(self, epoch: Any = None) -> None:
        """Count the step without changing a rate; a float or a tensor is a reward for :meth:`observe`.

        Trainers step every scheduler, and an int is an epoch to torch: both are only counted. While a warm-up is in
        front, ``step(0)`` is how an older ``SequentialLR`` (torch 2.6) hands over.
        """
        self._step_count += 1
        if self.last_epoch >= 0:
            self.last_epoch += 1
        elif type(epoch) is int and epoch == 0:
            self._update_lr(0)
            return
        if epoch is not None and not isinstance(epoch, (Integral, np.bool_)):
            self.observe(epoch)
        elif self._step_count == STEPS_WITHOUT_REWARD_BEFORE_WARNING + 1 and not self.num_observed:
            warnings.warn(
                f"step() was called {STEPS_WITHOUT_REWARD_BEFORE_WARNING} times and observe() never: the learning rate"
                " stays constant until scheduler.observe(R=reward) is called",
                UserWarning,
                stacklevel=2,
            )

    def _initial_step(self) -> None:
        """Become active as the first member of a ``SequentialLR``, which has lowered ``last_epoch`` of all members."""
        self._step_count = 1
        self.last_epoch += 1

    def _update_lr(self, epoch: int | None = None) -> None:
        """Become active at a milestone of ``SequentialLR``: the rule, ``none`` too, starts from the base rate."""
        self._group_lrs.sync_groups(self._rule)
        self._group_lrs.write(self._group_lrs.initial_lrs(self._rule))
        if self._group_lrs.momentum_written:
            self._group_lrs.write_momentum()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch

    # -- state ---------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes as plain values, for JSON and ``torch.load(weights_only=True)``."""
        current_lrs = self.get_lr()
        return SchedulerState(
            rule=self._rule.name,
            settings=self._settings(),
            rule_state=stacking.state_dict(self._rule),
            signal_state=stacking.state_dict(self._signal),
            lrs=self._group_lrs.lrs,
            current_lrs=current_lrs,
            momenta=self._group_lrs.momenta(),
            written=self._group_lrs.written,
            last_epoch=self.last_epoch,
            step_count=self._step_count,
            num_observed=self.num_observed,
            num_skipped=self.num_skipped,
            last_signal=self.last_signal,
        ).as_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`, including the rates and momenta in the optimizer's groups.

        The optimizer's own state may be loaded before or after. Settings stay the constructor's, and one warning names
        those that differ.

        Raises:
            ValueError: The state is of another rule, another number of groups, or a newer version; nothing is changed.

        """
        self._group_lrs.sync_groups(self._rule)
        saved = SchedulerState.parse(state_dict, self._rule.name, len(self.base_lrs))
        rule, signal = copy.copy(self._rule), copy.copy(self._signal)
        stacking.load_state_dict(rule, checked_values(rule, saved.rule_state))
        stacking.load_state_dict(signal, checked_values(signal, saved.signal_state))
        lrs = self._group_lrs.clipped(saved.lrs, rule)
        if changed := saved.changed_settings(self._settings()):
            warnings.warn(
                f"the saved state had other settings; the constructor's are kept: {', '.join(changed)}",
                UserWarning,
                stacklevel=2,
            )
        # nothing below raises, so either all of the state is loaded or none
        self._rule, self._signal, self._fast_bounds = rule, signal, None
        self.last_epoch, self._step_count = saved.last_epoch, saved.step_count
        self.num_observed, self.num_skipped = saved.num_observed, saved.num_skipped
        self.last_signal = saved.last_signal
        if self._is_active():
            self._group_lrs.restore_momenta(saved.momenta)
            rates = zip(lrs, saved.lrs, saved.current_lrs, strict=True)
            current_lrs = [lr if current == saved_lr else current for lr, saved_lr, current in rates]
            self._group_lrs.restore(lrs, current_lrs, saved.written)
        self._group_lrs.lrs, self._group_lrs.written = lrs, saved.written

    def _settings(self) -> dict[str, Any]:
        """Return the settings under the names of the constructor."""
        return {
            **{f"{self._rule.name}_{name}": value for name, value in stacking.settings_of(self._rule).items()},
            **stacking.settings_of(self._signal),
            "min_lr": list(self._group_lrs.lows),
            "max_lr": list(self._group_lrs.highs),
            "base_lr": list(self.base_lrs),
            "adapt_momentum": self._group_lrs.momentum is not None,
            "min_momentum": self._momentum.min_momentum,
            "max_momentum": self._momentum.max_momentum,
            "on_nonfinite": self._on_nonfinite,
            "sync": self._sync is not False,
            "horizon": self._horizon,
        }

    def _check_ranks(self) -> None:
        """Warn of unsynchronised ranks, at powers of two: the question takes as long as an observation."""
        if self._sync is False and not self._has_warned_of_ranks and ranks_unsynced():
            warnings.warn(
                "several ranks observe different rewards, so their learning rates may drift apart:"
                " pass sync=True, or give every rank the same reward (this warning comes once)",
                UserWarning,
                stacklevel=3,
            )
            self._has_warned_of_ranks = True
        self._next_rank_check = 2 * (self.num_observed + 1)


def _extra_signals(rule: Rule, extra: Mapping[str, Any]) -> dict[str, float]:
    """Return the further signals that the rule needs as floats, NaN for None; a missing one is a TypeError."""
    missing = [name for name in rule.extra_signals if name not in extra]
    if missing:
        raise TypeError(
            f"rule {rule.name} needs {', '.join(missing)}: observe(R=..., {missing[0]}=...),"
            " or None for a step without a value"
        )
    return {name: nan if extra[name] is None else as_float(extra[name]) for name in rule.extra_signals}


# torch.compile leaves `observe` and what it calls out of its graphs. Traced, it would recompile at each call.
# Mark and strategy are what torch.compiler.disable sets. That function itself would import torch._dynamo, in 1.6 s.
RewardAdaptiveScheduler.observe._torchdynamo_disable = True  # type: ignore[attr-defined]
try:
    from torch._C._dynamo import eval_frame

    _skip = eval_frame._FrameExecStrategy(eval_frame._FrameAction.SKIP, eval_frame._FrameAction.SKIP)
    eval_frame.set_code_exec_strategy(RewardAdaptiveScheduler.observe.__code__, _skip)
except (ImportError, AttributeError):  # an older torch, whose compiler has no such strategy: the mark must do
    pass
