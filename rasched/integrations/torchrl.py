"""The scheduler inside TorchRL's ``Trainer``, whose own hook only steps a scheduler, bare."""

from __future__ import annotations

from typing import Any

from rasched.integrations.optional import missing
from rasched.scheduler import RewardAdaptiveScheduler

try:
    from torchrl.trainers.trainers import TrainerHookBase
except ImportError as error:
    raise missing("torchrl", "torchrl") from error


class RewardSchedulerHook(TrainerHookBase):  # type: ignore[misc,unused-ignore]  # Any where it is not installed
    """Tells the scheduler, after the optimizer steps on a batch, the mean return of the episodes that ended in it.

    ``hook.register(trainer)`` puts it in place and into the trainer's checkpoints. A batch in which no episode ended
    has no reward, and one without an optimizer step (random frames at the start) is left out.

    Args:
        scheduler: A scheduler of the trainer's optimizer.
        reward_key: Where the batch has the return so far of each episode; ``RewardSum()`` in the environment's
            transforms puts it there.
        done_key: Where it says that an episode ended.

    Raises:
        KeyError: In training, where a batch has no such entry.

    """

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler,
        reward_key: Any = ("next", "episode_reward"),
        done_key: Any = ("next", "done"),
    ) -> None:
        self.scheduler = scheduler
        self._reward_key = reward_key
        self._done_key = done_key
        self._reward: float | None = None
        self._stepped = False
        scheduler.optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *_: Any) -> None:
        self._stepped = True

    def capture(self, batch: Any) -> None:
        """Note the mean return of the episodes that end in the batch; TorchRL calls it before the steps."""
        self._reward = None
        if batch is None:  # asynchronous collection hands out no batch
            return
        returns, done = batch.get(self._reward_key, None), batch.get(self._done_key, None)
        if returns is None or done is None:
            raise KeyError(
                f"the batch has no {self._reward_key if returns is None else self._done_key}: add RewardSum() to the"
                " environment's transforms, or give RewardSchedulerHook the key of the episode's return"
            )
        ended = returns[done.bool()]
        self._reward = ended.double().mean().item() if ended.numel() else None

    def __call__(self, *_: Any) -> None:
        """Observe the noted return; TorchRL calls it after the steps."""
        if self._stepped:
            self.scheduler.observe(R=self._reward)
        self._stepped, self._reward = False, None

    def register(self, trainer: Any, name: str = "reward_scheduler") -> None:
        """Put the hook into a trainer, and the scheduler's state into its checkpoints."""
        trainer.register_op("pre_steps_log", self.capture)
        trainer.register_op("post_steps", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state."""
        return {"scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scheduler, its rates in the optimizer included."""
        self.scheduler.load_state_dict(state_dict["scheduler"])
