"""A learning-rate scheduler that listens to rewards, for any PyTorch optimizer."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rasched import stacking
from rasched.rules import Rule
from rasched.rules.factory import make_rule
from rasched.rules.signal import RewardSignal
from rasched.scheduler import bounds as rates
from rasched.scheduler import distributed as ranks
from rasched.scheduler import param_groups as groups
from rasched.scheduler.group_lrs import GroupLRs, MomentumBounds
from rasched.scheduler.reward import as_float
from rasched.scheduler.state import SchedulerState

STEPS_BEFORE_SILENCE_WARNS = 50


class RewardAdaptiveScheduler(LRScheduler):
    r"""Let a reward drive the learning rate of any ``torch.optim`` optimizer.

    Call :meth:`observe` with the reward after each ``optimizer.step()``. The reward is normalised and smoothed
    into a signal, the rule takes the signal and names each group's next rate, and the rate is clipped to its bounds.

    It is an ``LRScheduler``, so trainers accept it, but its :meth:`step` without an argument changes no rate: only
    rewards do. Behind a warm-up in ``SequentialLR`` it starts from the base rate when its turn comes. In a
    ``ChainedScheduler`` it writes nothing before the first reward; from then on its members should not write too.

    Args:
        optimizer: Any ``torch.optim.Optimizer``; each group's base rate is its ``initial_lr``, or its ``lr``.
            For Adafactor the rate is only a cap, Rprop ignores it after the first step, and ASGD follows it late.
        rule: ``"scaling"``, ``"trend"``, ``"variance"``, ``"kelly"``, ``"none"``, or a :class:`~rasched.rules.Rule`
            (copied), as in ``rule=Kelly(gain=0.2)``.
        ema_reward_beta: Weight of the past in the smoothing of the signal, in [0, 1); None for no smoothing.
        normalize: None, ``"center"`` or ``"standardize"`` by running mean and variance.
        normalize_rate: Rate of these statistics; cumulative until ``1/t`` falls to it, 0 for ever cumulative.
        min_lr: Lower bound, one number or one a group; None is a hundredth of the group's base rate.
        max_lr: Upper bound likewise; None is a hundred times the base rate.
        adapt_momentum: Also move ``momentum`` (or the first beta) opposite to the rate.
        min_momentum: Momentum at the upper bound of the rate.
        max_momentum: Momentum at the lower bound of the rate.
        on_nonfinite: ``"raise"`` a ValueError at a reward that is not finite, or ``"skip"`` and count it.
        sync: Average the reward over the ranks of the default process group (True) or of the given one; every rank
            must then call :meth:`observe` for every step, with None where it has no reward.
        scaling_center: See :class:`~rasched.rules.Scaling`, as for ``scaling_span``.
        scaling_span: Above 0.
        trend_up: See :class:`~rasched.rules.Trend`; above 1.
        trend_down: In (0, 1).
        variance_alpha: See :class:`~rasched.rules.Variance`; at least 0.
        variance_window: Number of signals, at least 1.
        kelly_gain: See :class:`~rasched.rules.Kelly`; in (0, 1).
        kelly_temp: Above 0, in units of the signal.

    Raises:
        ValueError: A setting or base rate is out of range, or the rule's name is unknown.
        TypeError: ``optimizer`` is none, or a rule as value came with settings of a named one.

    Attributes:
        num_observed: Rewards taken so far.
        num_skipped: Non-finite rewards left out.
        last_signal: The signal of the last reward taken, None before the first.

    """

    last_signal: float | None

    def __init__(
        self,
        optimizer: Optimizer,
        rule: str | Rule = "kelly",
        *,
        ema_reward_beta: float | None = None,
        normalize: str | None = None,
        normalize_rate: float = 0.02,
        min_lr: rates.Bound = None,
        max_lr: rates.Bound = None,
        adapt_momentum: bool = False,
        min_momentum: float = 0.85,
        max_momentum: float = 0.95,
        on_nonfinite: str = "raise",
        sync: Any = False,
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
        self.optimizer = groups.unwrap(optimizer)
        given = {
            "scaling_center": scaling_center,
            "scaling_span": scaling_span,
            "trend_up": trend_up,
            "trend_down": trend_down,
            "variance_alpha": variance_alpha,
            "variance_window": variance_window,
            "kelly_gain": kelly_gain,
            "kelly_temp": kelly_temp,
        }
        self._rule = make_rule(rule, {name: value for name, value in given.items() if value is not None})
        self._signal = RewardSignal(normalize, normalize_rate, ema_reward_beta)
        if on_nonfinite not in ("raise", "skip"):
            raise ValueError(f"on_nonfinite must be 'raise' or 'skip', got {on_nonfinite!r}")
        self._on_nonfinite = on_nonfinite
        momentum = MomentumBounds.checked(min_momentum, max_momentum)
        self._momentum = momentum
        self._sync = sync
        self._rates = GroupLRs(self.optimizer, self._rule, min_lr, max_lr, momentum if adapt_momentum else None)
        self._warned_ranks = False
        # base rate and bounds of the only group, where the short way through `observe` may be taken
        self._swift: tuple[float, float, float] | None = None
        self._next_look = 1  # the observation at which to look for other ranks
        self.last_epoch = 0
        self._step_count = 1
        self.num_observed = 0
        self.num_skipped = 0
        self.last_signal = None

    @property
    def base_lrs(self) -> list[float]:  # type: ignore[override]  # floats, where torch's class says float | Tensor
        """The base rates, one a group."""
        return self._rates.base_lrs

    @property
    def _last_lr(self) -> list[float]:  # type: ignore[override]
        return self._rates.lrs

    # -- the reward ----------------------------------------------------------------------------------------------------

    def observe(self, R: Any, **extra: Any) -> None:  # noqa: N803  (the name is the contract's)
        """Take the reward of the optimizer step just done, and write the rates of the next one.

        Args:
            R: A number, or a tensor or array of exactly one element; None says that this step had no reward.
            extra: Further signals, for the rules that name them; others ignore them.

        Raises:
            ValueError: The reward is not finite (and ``on_nonfinite="raise"``), or has several elements.
            TypeError: The reward is not a number.

        After any exception everything is as it was.

        """
        swift = self._swift
        if swift is not None and R is not None and self.last_epoch >= 0:
            # One group with a float rate that nobody else wrote, and a rule that never raises: the same as below
            # without its precautions, at a third of the time.
            if type(R) is not float:
                R = as_float(R)
            lrs = self._rates.lrs
            own = lrs[0]
            param_groups = self.optimizer.param_groups
            group = param_groups[0]
            if group["lr"] is own and len(param_groups) == 1 and R - R == 0.0:
                count = self.num_observed + 1
                if count == self._next_look:
                    self._look_at_ranks()
                self.last_signal = S = self._signal.observe(R)  # type: ignore[assignment]  # a float gives a float
                rule = self._rule
                rule.observe(S)
                base, low, high = swift
                lr = rule.next_lr(own, base)
                group["lr"] = lrs[0] = lr if low <= lr <= high else low if lr < low else high  # type: ignore[assignment]
                self.num_observed = count
                return
        self._observe(R, extra)

    def _observe(self, R: Any, extra: Mapping[str, Any]) -> None:  # noqa: N803
        if type(R) is not float or R - R != 0.0 or self._sync is not False:
            R = self._admit(R)
        self._rates.adopt(self._rule)
        rule, signal = self._rule, self._signal
        needed = _needed(rule, extra) if rule.extra_signals else {}
        before = None if rule.never_raises else (stacking.snapshot(signal), stacking.snapshot(rule))
        try:
            if R is None and not rule.observe_missing(**needed):
                return
            if self._in_charge():  # now: a warning may be an exception, and nothing has been written
                self._rates.watch(stacklevel=3)
            if R is None:
                self._advance()
                return
            if self.num_observed + 1 >= self._next_look:
                self._look_at_ranks()
            S = signal.observe(R)
            rule.observe(S, **needed)
            self._advance()
        except BaseException:
            if before is not None:
                stacking.restore(signal, before[0])
                stacking.restore(rule, before[1])
            raise
        self.last_signal = S  # type: ignore[assignment]  # a float gives a float
        self.num_observed += 1
        held = self._rates
        simple = held.written and rule.never_raises and len(held.lrs) == 1 and held.momentum is None
        if simple and self._sync is False:
            self._swift = held.base_lrs[0], held.lows[0], held.highs[0]

    def _admit(self, reward: Any) -> float | None:
        """Return the reward to take as a float, or None where there is none; ranks decide together."""
        broken: Exception | None = None
        value = None
        try:
            value = None if reward is None else as_float(reward)
        except (TypeError, ValueError) as error:
            broken = error  # raised after the exchange, so that no other rank waits for this one
        finite = broken is None and (value is None or value - value == 0.0)
        if self._sync is not False:
            agreed = ranks.all_reduce_reward(value, finite, self._sync)
            value, finite, local = agreed.reward, agreed.finite, value
        else:
            local = value
        if broken is not None:
            raise broken
        if finite:
            return value
        if self._on_nonfinite == "skip":
            self.num_skipped += 1
            return None
        call = self.num_observed + self.num_skipped + 1
        whose = "a reward of another rank" if local is None or local - local == 0.0 else f"reward {local!r}"
        raise ValueError(
            f"{whose} at observation {call} is not finite: nothing was changed;"
            " on_nonfinite='skip' leaves such rewards out"
        )

    # -- the rates -----------------------------------------------------------------------------------------------------

    def _in_charge(self) -> bool:
        """Return whether it is our turn, and the rule one that writes."""
        return self.last_epoch >= 0 and self._rule.writes_lr

    def _advance(self) -> None:
        """Compute every group's next rate, then write them; while it is not our turn, neither."""
        if self._in_charge():
            self._rates.write(self._rates.next(self._rule))
            self._rates.write_momentum()

    def apply(self) -> None:
        """Write the scheduler's own rates into the groups again, over whatever another writer left there.

        For adapters of frameworks that reset the rates; while it is not our turn, and for ``none``, it does nothing.
        """
        self._rates.adopt(self._rule)
        if self._in_charge():
            self._rates.write(self._rates.lrs)
            if self._rates.moved_momentum:
                self._rates.write_momentum()

    def get_lr(self) -> list[float]:  # type: ignore[override]  # floats, also for tensor rates
        """Return the rates in force, one float a group. Never warns, unlike torch's own: its users log with it."""
        self._rates.adopt(self._rule)
        return self._rates.in_force()

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """Return the rates in force, one float a group."""
        return self.get_lr()

    # -- torch's protocol ----------------------------------------------------------------------------------------------

    def step(self, epoch: Any = None) -> None:
        """Do nothing to the rates; a float or a tensor is a reward for :meth:`observe`.

        Trainers step every scheduler blindly, and an int is an epoch to torch: both only count.
        """
        self._step_count += 1
        if self.last_epoch >= 0:
            self.last_epoch += 1
        if epoch is not None and (not hasattr(epoch, "__index__") or isinstance(epoch, Tensor)):
            self.observe(epoch)
        elif self._step_count == STEPS_BEFORE_SILENCE_WARNS + 1 and not self.num_observed:
            warnings.warn(
                f"step() was called {STEPS_BEFORE_SILENCE_WARNS} times and observe() never: the learning rate stays"
                " constant until scheduler.observe(R=reward) tells it a reward",
                UserWarning,
                stacklevel=2,
            )

    def _initial_step(self) -> None:
        """Take the first turn in a ``SequentialLR``, which lowers ``last_epoch`` of all its members before."""
        self._step_count = 1
        self.last_epoch += 1

    def _update_lr(self, epoch: int | None = None) -> None:
        """Take over at a milestone of ``SequentialLR``: the rule starts from the base rate."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._rates.adopt(self._rule)
        self._rates.lrs = self._rates.starts(self._rule)
        self.apply()

    # -- state ---------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything that moves as plain values and lists, for JSON and ``torch.load(weights_only=True)``."""
        in_force = self.get_lr()
        return SchedulerState(
            rule=self._rule.name,
            settings=self._settings(),
            rule_state=stacking.state_dict(self._rule),
            signal_state=stacking.state_dict(self._signal),
            lrs=self._rates.lrs,
            in_force=in_force,
            momenta=self._rates.momenta(),
            written=self._rates.written,
            last_epoch=self.last_epoch,
            step_count=self._step_count,
            num_observed=self.num_observed,
            num_skipped=self.num_skipped,
            last_signal=self.last_signal,
        ).as_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave, the rates and momenta in the optimizer's groups included.

        The optimizer's own state may be loaded before or after. Settings stay the constructor's; one warning names
        those that differ.

        Raises:
            ValueError: The state is of another rule, another number of groups, or a newer version; nothing is changed.

        """
        self._rates.adopt(self._rule)
        saved = SchedulerState.parse(state_dict, self._rule.name, len(self.base_lrs))
        rule, signal = copy.copy(self._rule), copy.copy(self._signal)
        stacking.load_state_dict(rule, saved.rule_state)
        stacking.load_state_dict(signal, saved.signal_state)
        lrs = self._rates.clipped(saved.lrs, rule)
        if differing := saved.differing(self._settings()):
            warnings.warn(
                f"the saved state had other settings; the constructor's are kept: {', '.join(differing)}",
                UserWarning,
                stacklevel=2,
            )
        # nothing below raises: all of the state is taken, or none
        self._rule, self._signal, self._swift = rule, signal, None
        self.last_epoch, self._step_count = saved.last_epoch, saved.step_count
        self.num_observed, self.num_skipped = saved.num_observed, saved.num_skipped
        self.last_signal = saved.last_signal
        if self._in_charge():
            self._rates.write(lrs if saved.written else saved.in_force)
            self._rates.restore_momenta(saved.momenta)
        self._rates.lrs, self._rates.written = lrs, saved.written

    def _settings(self) -> dict[str, Any]:
        """Return the settings under the names of the constructor."""
        return {
            **{f"{self._rule.name}_{name}": value for name, value in stacking.settings_of(self._rule).items()},
            **stacking.settings_of(self._signal),
            "min_lr": list(self._rates.lows),
            "max_lr": list(self._rates.highs),
            "base_lr": list(self.base_lrs),
            "adapt_momentum": self._rates.momentum is not None,
            "min_momentum": self._momentum.low,
            "max_momentum": self._momentum.high,
            "on_nonfinite": self._on_nonfinite,
            "sync": self._sync is not False,
        }

    def _look_at_ranks(self) -> None:
        """Warn of drifting ranks; at powers of two, since asking for the process group costs as much as observing."""
        if self._sync is False and not self._warned_ranks and ranks.ranks_unsynced():
            warnings.warn(
                "several ranks observe rewards of their own, so their learning rates may drift apart:"
                " pass sync=True, or give every rank the same reward (this warning comes once)",
                UserWarning,
                stacklevel=3,
            )
            self._warned_ranks = True
        self._next_look = 2 * (self.num_observed + 1)


def _needed(rule: Rule, extra: Mapping[str, Any]) -> dict[str, float]:
    """Return the further signals that the rule names, as floats; a missing one is a TypeError."""
    missing = [name for name in rule.extra_signals if name not in extra]
    if missing:
        raise TypeError(f"rule {rule.name} needs {', '.join(missing)}: observe(R=..., {missing[0]}=...)")
    return {name: as_float(extra[name]) for name in rule.extra_signals}


# torch.compile leaves `observe` out of its graphs, and what it calls too: traced, it would recompile at each call.
# Mark and strategy are what torch.compiler.disable sets; that function itself would import torch._dynamo, 1.6 s.
RewardAdaptiveScheduler.observe._torchdynamo_disable = True  # type: ignore[attr-defined]
try:
    from torch._C._dynamo import eval_frame

    _skip = eval_frame._FrameExecStrategy(eval_frame._FrameAction.SKIP, eval_frame._FrameAction.SKIP)
    eval_frame.set_code_exec_strategy(RewardAdaptiveScheduler.observe.__code__, _skip)
except (ImportError, AttributeError):  # an older torch, whose compiler knows no such strategy: the mark must do
    pass
