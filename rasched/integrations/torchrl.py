"""The scheduler in TorchRL's ``Trainer``, whose own hook steps a scheduler without a reward."""

from __future__ import annotations

from typing import Any

from rasched.integrations.optional import missing
from rasched.scheduler import RewardAdaptiveScheduler

try:
    from torchrl.trainers.trainers import TrainerHookBase
except ImportError as error:
    raise missing("torchrl", "torchrl") from error


class RewardSchedulerHook(TrainerHookBase):  # type: ignore[misc,unused-ignore]  # Any if it is not installed
    """Observe the mean return of the episodes that ended in a batch, after its optimizer steps.

    ``hook.register(trainer)`` adds it to the trainer and to its checkpoints. A batch in which no episode ended has no
    reward. A batch without an optimizer step (random frames at the start) is left out.

    Args:
        scheduler: A scheduler of the trainer's optimizer.
        reward_key: The entry of the batch that holds the return of each episode so far; ``RewardSum()`` in the
            environment's transforms writes it.
        done_key: The entry of the batch that marks the end of an episode.

    Raises:
        KeyError: In training, if a batch has no such entry.

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
        self._has_stepped = False
        scheduler.optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *_: Any) -> None:
        self._has_stepped = True

    def capture(self, batch: Any) -> None:
        """Store the mean return of the episodes that end in the batch; called before the steps."""
        self._reward = None
        if batch is None:  # asynchronous collection passes no batch
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
        """Observe the stored return; called after the steps."""
        if self._has_stepped:
            self.scheduler.observe(R=self._reward)
        self._has_stepped, self._reward = False, None

    def register(self, trainer: Any, name: str = "reward_scheduler") -> None:
        """Add the hook to a trainer, and the scheduler's state to its checkpoints."""
        trainer.register_op("pre_steps_log", self.capture)
        trainer.register_op("post_steps", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state."""
        return {"scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scheduler, including its rates in the optimizer."""
        self.scheduler.load_state_dict(state_dict["scheduler"])
