"""The scheduler in ``transformers.Trainer``, and in trainers built on it (TRL).

If the Trainer is given no scheduler, it builds one from ``lr_scheduler_type`` inside ``train()``. Each step of that
scheduler overwrites the learning rates, and its rate goes to the log. The Trainer needs it for its own bookkeeping, so
it stays. From ``on_train_begin`` on it *follows* ours: it writes nothing, reports our rates, and saves our state in
``scheduler.pt``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rasched.integrations.optional import require
from rasched.integrations.reward_collector import RewardCollector
from rasched.scheduler import RewardAdaptiveScheduler
from rasched.scheduler.param_groups import unwrap_optimizer
from rasched.scheduler.state import STATE_KEY

RewardFn = Callable[[int], Any]


class RewardObserveCallback:
    """Pass the reward of each optimizer step of a ``transformers.Trainer`` to a scheduler.

    Works with ``Trainer(optimizers=(optimizer, None), ...)``, for every ``lr_scheduler_type``, and with
    ``optimizers=(optimizer, scheduler)``, which may also be a ``SequentialLR`` with a warm-up and then the scheduler.
    The rate in effect, the rate that the Trainer logs and the scheduler's are the same number, and training resumes
    from a checkpoint bit for bit. (transformers' own ``greedy`` is similar, but observes evaluations only.)

    Args:
        scheduler: The scheduler. If the Trainer makes the optimizer: a function from optimizer to scheduler (the class
            itself is one, with its defaults).
        reward_fn: Called after each optimizer step with the number of steps done (``state.global_step``, which
            continues after a resume). Returns the reward of the step, or None if it has none. Not called after a step
            that mixed precision skipped.
        reward_key: Used instead of ``reward_fn``: the entry of the Trainer's logs that is the reward, such as
            ``"reward"`` in TRL's GRPO and RLOO or ``"objective/scores"`` in its online DPO. Needs ``logging_steps=1``.
        kl_fn: For a rule that needs the KL divergence of an update (``KLSearch``, ``KLAdaptive``): a function like
            ``reward_fn`` that returns it, called once per observation. :func:`~rasched.integrations.attach_trl` has one
            for GRPO and RLOO. The ``kl`` that TRL logs is another quantity, the distance from the reference model,
            which grows while training goes well.

    Raises:
        ImportError: transformers is not installed.
        TypeError: Neither or both of ``reward_fn`` and ``reward_key`` are given, or no scheduler.
        ValueError: At the start of training, if the rule needs a signal that nothing gives, if the Trainer's optimizer
            is not the scheduler's, or if it resumes with
            ``lr_scheduler_type="greedy"``, which drops the scheduler's state from its checkpoint.

    With ``sync=True`` every rank takes part in each observation, even if it has no reward.

    """

    # No subclass of transformers.TrainerCallback, whose import takes seconds: the Trainer only calls methods.

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler],
        reward_fn: RewardFn | None = None,
        *,
        reward_key: str | None = None,
        kl_fn: RewardFn | None = None,
    ) -> None:
        require("transformers", "huggingface")
        if (reward_fn is None) == (reward_key is None):
            raise TypeError("give either reward_fn, a function of the step, or reward_key, an entry of the logs")
        if reward_fn is not None and not callable(reward_fn):
            raise TypeError(f"reward_fn must be a function of the step, got {type(reward_fn).__name__}")
        if not isinstance(scheduler, RewardAdaptiveScheduler) and not callable(scheduler):
            raise TypeError(
                "scheduler must be a RewardAdaptiveScheduler, or a function from optimizer to one,"
                f" got {type(scheduler).__name__}"
            )
        self._scheduler_or_factory = scheduler
        self._scheduler = scheduler if isinstance(scheduler, RewardAdaptiveScheduler) else None
        self._reward_fn = reward_fn
        self._reward_key = reward_key
        self._kl_fn = kl_fn
        self._last_logged_step = 0  # evaluations and the summary at the end log once more at the same step
        self._is_training = False  # evaluate() outside of train() logs too
        self._has_warned = False

    def __getattr__(self, event: str) -> Any:
        """Return a function that does nothing, for all other events, also those of later versions."""
        if event.startswith("on_"):
            return _do_nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {event!r}")

    @property
    def scheduler(self) -> RewardAdaptiveScheduler:
        """The scheduler; if a function makes it, it exists from the start of training on."""
        if self._scheduler is None:
            raise RuntimeError("the scheduler is made when training starts, from the Trainer's optimizer")
        return self._scheduler

    def on_train_begin(
        self, args: Any, state: Any, control: Any, *, optimizer: Any, lr_scheduler: Any, **_: Any
    ) -> None:
        """Take over the learning rate from the Trainer's own scheduler; restore our state from a checkpoint."""
        self._check_optimizer(unwrap_optimizer(optimizer))
        self._check_signals()
        if self._reward_key is not None:
            _warn_if_logs_are_rare(args, state)
        if lr_scheduler is self.scheduler:
            pass
        elif self.scheduler in getattr(lr_scheduler, "_schedulers", ()):
            _report_rates_of(lr_scheduler, self.scheduler)
        else:
            self._take_over(lr_scheduler, args, resumed=state.global_step > 0)
        self._last_logged_step = state.global_step
        self._is_training = True

    def _check_optimizer(self, optimizer: Any) -> None:
        """Make the scheduler, or check that it is a scheduler of this optimizer."""
        if self._scheduler is not None and self._scheduler.optimizer is optimizer:
            return
        if isinstance(self._scheduler_or_factory, RewardAdaptiveScheduler):
            raise ValueError(
                f"the Trainer trains with another optimizer ({type(optimizer).__name__}) than the scheduler's: pass"
                " Trainer(optimizers=(optimizer, None)), or give the callback a function from optimizer to scheduler"
            )
        self._scheduler = self._scheduler_or_factory(optimizer)

    def _check_signals(self) -> None:
        rule = self.scheduler.rule
        missing = [name for name in rule.extra_signals if name != "kl" or self._kl_fn is None]
        if missing:
            raise ValueError(
                f"rule {rule.name} needs {', '.join(missing)}, which the Trainer does not give: pass kl_fn, a function"
                " of the step that returns the divergence of its update, or use attach_trl with GRPO or RLOO"
            )

    def _take_over(self, builtin: Any, args: Any, *, resumed: bool) -> None:
        saved = builtin.__dict__.pop(STATE_KEY, None)
        if resumed and saved is None:
            if type(builtin).__name__ == "GreedyLR":
                raise ValueError(
                    "lr_scheduler_type='greedy' drops the reward scheduler's state when it loads a checkpoint:"
                    " resume with optimizers=(optimizer, scheduler), which reads this checkpoint too"
                )
            warnings.warn(
                "the checkpoint has no RewardObserveCallback state: the reward scheduler starts at its base rate",
                UserWarning,
                stacklevel=2,
            )
        if getattr(args, "warmup_steps", 0):
            warnings.warn(
                f"warmup_steps={args.warmup_steps} has no effect, because the reward scheduler sets the rate: pass"
                " optimizers=(optimizer, SequentialLR(optimizer, [LinearLR(...), scheduler], [steps])) for a warm-up",
                UserWarning,
                stacklevel=2,
            )
        _follow(builtin, self.scheduler)
        if saved is not None:
            self.scheduler.load_state_dict(saved)
        self.scheduler.apply()  # over the rate that the built-in one wrote when it was made

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, lr_scheduler: Any, **_: Any) -> None:
        """Write the scheduler's rates before the optimizer steps, and warn if other code wrote."""
        if hasattr(lr_scheduler, "_schedulers"):  # the members of a composite may write in their turn
            return
        written_lrs = self.scheduler.get_lr()
        self.scheduler.apply()
        if not self._has_warned and written_lrs != (our_lrs := self.scheduler.get_lr()):
            self._has_warned = True
            warnings.warn(
                f"other code set the learning rates to {written_lrs} before step {state.global_step + 1}; the"
                f" reward scheduler's {our_lrs} are used. Let only one of them write (this warning appears once)",
                UserWarning,
                stacklevel=2,
            )

    def on_step_end(self, args: Any, state: Any, control: Any, *, optimizer: Any = None, **_: Any) -> None:
        """Observe the reward of the optimizer step that just ended."""
        # Not in on_optimizer_step, because the Trainer reads the rate for its log after that event.
        if self._reward_fn is not None:
            # None goes through observe too, because other ranks may wait for this one.
            self._observe(self._reward_fn, state, optimizer)

    def on_log(self, args: Any, state: Any, control: Any, *, logs: Any, optimizer: Any = None, **_: Any) -> None:
        """Observe the reward that a trainer logged; a log without one is a step without a reward."""
        # A second log of a step is an evaluation, which may be the reward, or the summary at the end, which is no step.
        is_step = state.global_step > self._last_logged_step or self._reward_key in logs
        if self._reward_key is not None and self._is_training and is_step:
            self._last_logged_step = state.global_step
            self._observe(lambda _: logs.get(self._reward_key), state, optimizer)

    def _observe(self, reward_fn: RewardFn, state: Any, optimizer: Any) -> None:
        was_skipped, step = _was_skipped(optimizer), state.global_step
        signals = {} if self._kl_fn is None else {"kl": None if was_skipped else self._kl_fn(step)}
        self.scheduler.observe(R=None if was_skipped else reward_fn(step), **signals)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drop the rewards that an evaluation left in a collector; they belong to no optimizer step."""
        if isinstance(self._reward_fn, RewardCollector):
            self._reward_fn.reset()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop observing, because a later ``trainer.evaluate()`` must not change the rate."""
        self._is_training = False


def _do_nothing(*args: Any, **kwargs: Any) -> None:
    """Leave the Trainer's control as it is."""


def _was_skipped(optimizer: Any) -> bool:
    """Return whether mixed precision skipped the last step, according to Accelerate's wrapper."""
    return bool(getattr(optimizer, "step_was_skipped", False))


def _follow(builtin: Any, ours: RewardAdaptiveScheduler) -> None:
    """Make the Trainer's own scheduler write nothing, report our rates and save our state.

    The class is replaced, because attributes of the instance would be pickled into ``scheduler.pt``.
    """
    cls: Any = type(builtin)

    class Following(cls):  # type: ignore[misc]  # the class is known only at run time
        def step(self, *args: Any, **kwargs: Any) -> None:
            self._step_count = getattr(self, "_step_count", 0) + 1
            self.last_epoch += 1
            ours.step()  # only counts: the scheduler warns if no reward is ever observed

        def get_last_lr(self) -> list[float]:
            return ours.get_last_lr()

        def state_dict(self) -> dict[str, Any]:
            return {**super().state_dict(), STATE_KEY: ours.state_dict()}

    Following.__name__, Following.__qualname__ = cls.__name__, cls.__qualname__
    builtin.__class__ = Following


def _report_rates_of(composite: Any, ours: RewardAdaptiveScheduler) -> None:
    """Make a ``SequentialLR`` with our scheduler report the current rates; its own copy is too old."""
    cls: Any = type(composite)

    class Reporting(cls):  # type: ignore[misc]  # as above
        def get_last_lr(self) -> list[float]:
            return ours.get_last_lr()

    Reporting.__name__, Reporting.__qualname__ = cls.__name__, cls.__qualname__
    composite.__class__ = Reporting


def _warn_if_logs_are_rare(args: Any, state: Any) -> None:
    """Warn if the rewards are not logged at every step."""
    strategy = getattr(args.logging_strategy, "value", args.logging_strategy)
    if strategy != "steps" or state.logging_steps > 1:
        how = f"every {state.logging_steps} steps" if strategy == "steps" else f"by strategy {strategy!r}"
        warnings.warn(
            f"rewards are read from the logs, which are written {how}: set logging_steps=1, or the scheduler observes"
            " only a mean over several steps",
            UserWarning,
            stacklevel=3,
        )
