"""The scheduler in Lightning.

Lightning can pass rewards itself: by an entry of ``configure_optimizers`` with ``"interval": "step"``, ``"monitor"`` (a
key) and ``"reduce_on_plateau": True``. But then the reward is rounded to float32, an old value is read again, and a
checkpoint of the same step is written before the reward is observed. The callback has none of these faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rasched.integrations.optional import missing
from rasched.scheduler import RewardAdaptiveScheduler
from rasched.scheduler.reward import as_float

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback  # type: ignore[assignment,unused-ignore]  # its older name
    except ImportError as error:
        raise missing("lightning", "lightning") from error


class LightningRewardCallback(Callback):  # type: ignore[misc,unused-ignore]  # Any if it is not installed
    """Pass the reward of each optimizer step to the schedulers of a LightningModule.

    Works with automatic and manual optimisation, with accumulation, and with several optimizers (each scheduler
    observes when its own optimizer has stepped). Training resumes bit for bit.

    Args:
        scheduler: None for the schedulers that ``configure_optimizers`` returned, which Lightning saves. A scheduler
            that Lightning does not know, or a function from the first optimizer to one, is saved by this callback.
        reward_key: The entry of the dictionary that ``training_step`` returns. A batch without it, or with None, has no
            reward. The batches of one optimizer step count as their mean.
        reward_fn: Used instead of ``reward_key``: a function of the number of optimizer steps done, called after each.

    Raises:
        TypeError: At the start of training, if there is no scheduler.

    """

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler] | None = None,
        *,
        reward_key: str = "reward",
        reward_fn: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__()
        self._scheduler_or_factory = scheduler
        self._reward_key = reward_key
        self._reward_fn = reward_fn
        self._unsaved: RewardAdaptiveScheduler | None = None  # the scheduler that Lightning does not save
        self._loaded_state: dict[str, Any] | None = None
        self._observers: list[_StepObserver] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Collect the schedulers; restore the state of one that Lightning does not know."""
        known = [
            scheduler for config in trainer.lr_scheduler_configs for scheduler in _reward_schedulers(config.scheduler)
        ]
        given = self._scheduler_or_factory
        if given is not None and not isinstance(given, RewardAdaptiveScheduler):
            given = self._unsaved or given(trainer.optimizers[0])
        schedulers = known if given is None else [given]
        if not schedulers:
            raise TypeError(
                "there is no RewardAdaptiveScheduler: return one from configure_optimizers, or give one to"
                " LightningRewardCallback"
            )
        self._unsaved = given if given is not None and not any(given is scheduler for scheduler in known) else None
        if self._unsaved is not None and self._loaded_state is not None:
            self._unsaved.load_state_dict(self._loaded_state)
        self._loaded_state = None
        for scheduler in schedulers:
            if scheduler.num_observed == 0 and scheduler.rule.initial_lr(1.0) != 1.0:
                scheduler.apply()  # the rule starts elsewhere than at the base rate
        self._observers = [_StepObserver(scheduler) for scheduler in schedulers]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Collect the reward of a batch; observe it if the optimizer has stepped, before checkpoints."""
        reward = outputs.get(self._reward_key) if self._reward_fn is None and isinstance(outputs, dict) else None
        latest: list[Any] = []  # one call for all schedulers, and none if no optimizer stepped
        for observer in self._observers:
            if reward is not None:
                observer.rewards.append(reward)
            if not observer.has_stepped:
                continue
            if self._reward_fn is not None:
                latest = latest or [self._reward_fn(trainer.global_step)]
                observer.rewards = latest
            observer.observe()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Remove the hooks from the optimizers."""
        for observer in self._observers:
            observer.handle.remove()
        self._observers = []

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the scheduler that Lightning does not save itself."""
        return {} if self._unsaved is None else {"scheduler": self._unsaved.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until the scheduler exists, at the start of training."""
        self._loaded_state = state_dict.get("scheduler")


class _StepObserver:
    """A scheduler with the rewards since the last step of its optimizer."""

    def __init__(self, scheduler: RewardAdaptiveScheduler) -> None:
        self.scheduler = scheduler
        self.rewards: list[Any] = []
        self.has_stepped = False
        # trainer.global_step would count the steps of all optimizers, and those that mixed precision skipped
        self.handle = scheduler.optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *_: Any) -> None:
        self.has_stepped = True

    def observe(self) -> None:
        rewards, self.rewards, self.has_stepped = self.rewards, [], False
        if len(rewards) > 1:
            self.scheduler.observe(R=sum(map(as_float, rewards)) / len(rewards))
        else:
            self.scheduler.observe(R=rewards[0] if rewards else None)  # None too, because other ranks may wait


def _reward_schedulers(scheduler: Any) -> list[RewardAdaptiveScheduler]:
    """Return the reward schedulers in a scheduler, which may be a ``SequentialLR`` with a warm-up."""
    members = getattr(scheduler, "_schedulers", [scheduler])
    return [member for member in members if isinstance(member, RewardAdaptiveScheduler)]
