"""The scheduler inside Lightning.

Lightning itself can feed it, by an entry of ``configure_optimizers`` with ``"interval": "step"``, ``"monitor"`` a key
and ``"reduce_on_plateau": True``. But then the reward passes through float32, an old value is read again, and a
checkpoint of the same step is written before the reward comes. The callback has none of the three.
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


class LightningRewardCallback(Callback):  # type: ignore[misc,unused-ignore]  # Any where it is not installed
    """Tells the schedulers of a LightningModule the reward of each optimizer step.

    Works with automatic and manual optimisation, accumulation, several optimizers (each scheduler listens when its own
    optimizer has stepped) and resumes bit for bit.

    Args:
        scheduler: None for those that ``configure_optimizers`` returned, which Lightning saves. A scheduler that
            Lightning does not know, or a function from the first optimizer to one, is saved by this callback.
        reward_key: The entry of the dictionary that ``training_step`` returns; a batch without it, or with None, has no
            reward. The batches of one optimizer step count as their mean.
        reward_fn: Instead, a function of the number of optimizer steps done, called after each.

    Raises:
        TypeError: At the start of training, where no scheduler is found.

    """

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler] | None = None,
        *,
        reward_key: str = "reward",
        reward_fn: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__()
        self._given = scheduler
        self._reward_key = reward_key
        self._reward_fn = reward_fn
        self._own: RewardAdaptiveScheduler | None = None  # the one that Lightning does not save
        self._saved: dict[str, Any] | None = None
        self._listeners: list[_Listener] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the schedulers, and give the one that Lightning does not know its state from the checkpoint."""
        known = [scheduler for config in trainer.lr_scheduler_configs for scheduler in _ours(config.scheduler)]
        given = self._given
        if given is not None and not isinstance(given, RewardAdaptiveScheduler):
            given = self._own or given(trainer.optimizers[0])
        schedulers = known if given is None else [given]
        if not schedulers:
            raise TypeError(
                "no RewardAdaptiveScheduler to tell the reward: return one from configure_optimizers, or give one to"
                " LightningRewardCallback"
            )
        self._own = given if given is not None and not any(given is scheduler for scheduler in known) else None
        if self._own is not None and self._saved is not None:
            self._own.load_state_dict(self._saved)
        self._saved = None
        self._listeners = [_Listener(scheduler) for scheduler in schedulers]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Collect the batch's reward, and tell it once the optimizer has stepped; checkpoints come after."""
        reward = outputs.get(self._reward_key) if self._reward_fn is None and isinstance(outputs, dict) else None
        latest: list[Any] = []  # one call for all listeners, and none where nothing stepped
        for listener in self._listeners:
            if reward is not None:
                listener.rewards.append(reward)
            if not listener.stepped:
                continue
            if self._reward_fn is not None:
                latest = latest or [self._reward_fn(trainer.global_step)]
                listener.rewards = latest
            listener.tell()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Let go of the optimizers."""
        for listener in self._listeners:
            listener.handle.remove()
        self._listeners = []

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the scheduler that Lightning does not save itself."""
        return {} if self._own is None else {"scheduler": self._own.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until the scheduler exists, at the start of training."""
        self._saved = state_dict.get("scheduler")


class _Listener:
    """A scheduler, whether its optimizer has stepped, and the rewards since it last did."""

    def __init__(self, scheduler: RewardAdaptiveScheduler) -> None:
        self.scheduler = scheduler
        self.rewards: list[Any] = []
        self.stepped = False
        # trainer.global_step would count the steps of all optimizers, and those that mixed precision left out
        self.handle = scheduler.optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *_: Any) -> None:
        self.stepped = True

    def tell(self) -> None:
        rewards, self.rewards, self.stepped = self.rewards, [], False
        if len(rewards) > 1:
            self.scheduler.observe(R=sum(map(as_float, rewards)) / len(rewards))
        else:
            self.scheduler.observe(R=rewards[0] if rewards else None)  # also None: other ranks may wait for this one


def _ours(scheduler: Any) -> list[RewardAdaptiveScheduler]:
    """Return the reward schedulers in a scheduler, which may be a ``SequentialLR`` with a warm-up in front."""
    members = getattr(scheduler, "_schedulers", [scheduler])
    return [member for member in members if isinstance(member, RewardAdaptiveScheduler)]
