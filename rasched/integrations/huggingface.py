"""The scheduler inside ``transformers.Trainer`` and what is built on it (TRL).

The Trainer owns the rate: where it is given no scheduler it builds one from ``lr_scheduler_type`` inside ``train()``,
whose every step overwrites the groups and whose rate goes to the log. So that one stays, for the Trainer's
book-keeping, but from ``on_train_begin`` on it *follows* ours: it writes nothing, reports our rates, and carries our
state through ``scheduler.pt``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rasched.integrations.optional import require
from rasched.scheduler import RewardAdaptiveScheduler
from rasched.scheduler.param_groups import unwrap_optimizer
from rasched.scheduler.state import STATE_KEY

RewardFn = Callable[[int], Any]


class RewardObserveCallback:
    """Tells a :class:`~rasched.RewardAdaptiveScheduler` the reward of each update of a ``transformers.Trainer``.

    Works with ``Trainer(optimizers=(optimizer, None), ...)``, whatever the ``lr_scheduler_type``, and with
    ``optimizers=(optimizer, scheduler)``, where also a ``SequentialLR`` may stand that has the scheduler behind a
    warm-up. The rate in effect, the rate that the Trainer logs and the scheduler's are one number, and checkpoints
    resume bit for bit. (transformers' own ``greedy`` is the nearest relative; it listens to evaluations only.)

    Args:
        scheduler: The scheduler, or for an optimizer that the Trainer makes a function from optimizer to scheduler
            (the class itself is one, with its defaults).
        reward_fn: Called after each update with the number of updates done (``state.global_step``, so it goes on
            after a resume); returns the update's reward, or None where it has none. Not called after a step that
            mixed precision skipped.
        reward_key: Instead of ``reward_fn``, the entry of the Trainer's logs that is the reward, as ``"reward"`` in
            TRL's GRPO and RLOO or ``"objective/scores"`` in its online DPO; needs ``logging_steps=1``.

    Raises:
        ImportError: transformers is not installed.
        TypeError: Neither or both of ``reward_fn`` and ``reward_key``, or no scheduler.
        ValueError: At the start of training: the Trainer trains with another optimizer than the scheduler's, or resumes
            with ``lr_scheduler_type="greedy"``, which drops the scheduler's state from its checkpoint.

    With ``sync=True`` every rank takes part in each observation, also where it has no reward.

    """

    # No subclass of transformers.TrainerCallback, whose import takes seconds: the Trainer only calls methods.

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler],
        reward_fn: RewardFn | None = None,
        *,
        reward_key: str | None = None,
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
        self._given = scheduler
        self._scheduler = scheduler if isinstance(scheduler, RewardAdaptiveScheduler) else None
        self._reward_fn = reward_fn
        self._reward_key = reward_key
        self._training = False  # evaluate() outside of train() logs too
        self._warned = False

    def __getattr__(self, event: str) -> Any:
        """Answer the events that are of no interest here, also those of versions to come."""
        if event.startswith("on_"):
            return _do_nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {event!r}")

    @property
    def scheduler(self) -> RewardAdaptiveScheduler:
        """The scheduler; one that is made for the Trainer's optimizer is there from the start of training on."""
        if self._scheduler is None:
            raise RuntimeError("the scheduler is made when training starts, from the Trainer's optimizer")
        return self._scheduler

    def on_train_begin(
        self, args: Any, state: Any, control: Any, *, optimizer: Any, lr_scheduler: Any, **_: Any
    ) -> None:
        """Take the rate over from the Trainer's own scheduler, with our state from the checkpoint if there is one."""
        self._adopt(unwrap_optimizer(optimizer))
        if self._reward_key is not None:
            _warn_of_rare_logs(args, state)
        if lr_scheduler is self.scheduler:
            pass
        elif self.scheduler in getattr(lr_scheduler, "_schedulers", ()):
            _report(lr_scheduler, self.scheduler)
        else:
            self._take_over(lr_scheduler, args, resumed=state.global_step > 0)
        self._training = True

    def _adopt(self, optimizer: Any) -> None:
        """Make sure that the scheduler is one of this optimizer."""
        if self._scheduler is not None and self._scheduler.optimizer is optimizer:
            return
        if isinstance(self._given, RewardAdaptiveScheduler):
            raise ValueError(
                f"the Trainer trains with another optimizer ({type(optimizer).__name__}) than the scheduler's: pass"
                " Trainer(optimizers=(optimizer, None)), or give the callback a function from optimizer to scheduler"
            )
        self._scheduler = self._given(optimizer)

    def _take_over(self, builtin: Any, args: Any, *, resumed: bool) -> None:
        saved = builtin.__dict__.pop(STATE_KEY, None)
        if resumed and saved is None:
            if type(builtin).__name__ == "GreedyLR":
                raise ValueError(
                    "lr_scheduler_type='greedy' drops the reward scheduler's state when it loads a checkpoint:"
                    " resume with optimizers=(optimizer, scheduler), which reads this checkpoint too"
                )
            warnings.warn(
                "the checkpoint was written without RewardObserveCallback: the reward scheduler starts afresh",
                UserWarning,
                stacklevel=2,
            )
        if getattr(args, "warmup_steps", 0):
            warnings.warn(
                f"warmup_steps={args.warmup_steps} has no effect, the reward scheduler owns the rate: pass"
                " optimizers=(optimizer, SequentialLR(optimizer, [LinearLR(...), scheduler], [steps])) for a warm-up",
                UserWarning,
                stacklevel=2,
            )
        _follow(builtin, self.scheduler)
        if saved is not None:
            self.scheduler.load_state_dict(saved)
        self.scheduler.apply()  # over the rate that the built-in one wrote when it was made

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, lr_scheduler: Any, **_: Any) -> None:
        """Have the last word on the rate of the coming step."""
        if hasattr(lr_scheduler, "_schedulers"):  # the members of a composite may write in their turn
            return
        found = self.scheduler.get_lr()
        self.scheduler.apply()
        if not self._warned and found != (ours := self.scheduler.get_lr()):
            self._warned = True
            warnings.warn(
                f"the learning rates were set to {found} by somebody else before step {state.global_step + 1}; the"
                f" reward scheduler's {ours} are used. Let only one of them write (this warning comes once)",
                UserWarning,
                stacklevel=2,
            )

    def on_step_end(self, args: Any, state: Any, control: Any, *, optimizer: Any = None, **_: Any) -> None:
        """Tell the scheduler the reward of the update just done."""
        # Not in on_optimizer_step: the Trainer reads the rate that it logs after that event.
        if self._reward_fn is not None:
            # None still goes through observe: other ranks may wait for this one.
            self.scheduler.observe(R=None if _was_skipped(optimizer) else self._reward_fn(state.global_step))

    def on_log(self, args: Any, state: Any, control: Any, *, logs: Any, optimizer: Any = None, **_: Any) -> None:
        """Tell the scheduler the reward that a trainer logged; a log without one is a step without a reward."""
        if self._reward_key is not None and self._training:
            self.scheduler.observe(R=None if _was_skipped(optimizer) else logs.get(self._reward_key))

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drop rewards that an evaluation left in a tap: they belong to no update."""
        if callable(forget := getattr(self._reward_fn, "forget", None)):
            forget()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop listening: a later ``trainer.evaluate()`` must not move the rate."""
        self._training = False


def _do_nothing(*args: Any, **kwargs: Any) -> None:
    """Leave the Trainer's control as it is."""


def _was_skipped(optimizer: Any) -> bool:
    """Return whether mixed precision left the last step out, as Accelerate's wrapper knows."""
    return bool(getattr(optimizer, "step_was_skipped", False))


def _follow(builtin: Any, ours: RewardAdaptiveScheduler) -> None:
    """Make the Trainer's own scheduler write nothing, report our rates and carry our state.

    By a class of its own: what stands in an instance's dictionary would be pickled into ``scheduler.pt``.
    """
    cls: Any = type(builtin)

    class Following(cls):  # type: ignore[misc]  # one of many classes, known only now
        def step(self, *args: Any, **kwargs: Any) -> None:
            self._step_count = getattr(self, "_step_count", 0) + 1
            self.last_epoch += 1
            ours.step()  # counts only, as where the Trainer steps it itself: it warns if no reward ever comes

        def get_last_lr(self) -> list[float]:
            return ours.get_last_lr()

        def state_dict(self) -> dict[str, Any]:
            return {**super().state_dict(), STATE_KEY: ours.state_dict()}

    Following.__name__, Following.__qualname__ = cls.__name__, cls.__qualname__
    builtin.__class__ = Following


def _report(composite: Any, ours: RewardAdaptiveScheduler) -> None:
    """Let a ``SequentialLR`` that holds our scheduler report the rates in force; its own note is too old."""
    cls: Any = type(composite)

    class Reporting(cls):  # type: ignore[misc]  # likewise
        def get_last_lr(self) -> list[float]:
            return ours.get_last_lr()

    Reporting.__name__, Reporting.__qualname__ = cls.__name__, cls.__qualname__
    composite.__class__ = Reporting


def _warn_of_rare_logs(args: Any, state: Any) -> None:
    """Warn where a logged reward does not come with every step."""
    strategy = getattr(args.logging_strategy, "value", args.logging_strategy)
    if strategy != "steps" or state.logging_steps > 1:
        how = f"every {state.logging_steps} steps" if strategy == "steps" else f"by strategy {strategy!r}"
        warnings.warn(
            f"rewards are read from the logs, which are written {how}: set logging_steps=1, or the scheduler hears"
            " only a mean, and rarely",
            UserWarning,
            stacklevel=3,
        )
