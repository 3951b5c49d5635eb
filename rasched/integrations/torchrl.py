"""The scheduler in TorchRL's ``Trainer``, whose own hook steps a scheduler without a reward."""

from __future__ import annotations

from typing import Any

import torch

from rasched.integrations.divergence import schulman_kl
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

    A rule that needs the KL divergence (``KLSearch``, ``KLAdaptive``) gets that of all steps on the batch, from the
    policy that acted to the updated one, by Schulman's estimate on the actions of the batch, which takes one forward
    pass after the steps. A loss without ``actor_network_params`` (it has them in PPO and A2C), or a batch without
    log-probabilities, gives none. TorchRL's own ``kl_approx`` is another estimate, before each step, which may be
    negative.

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
        self._batch: Any = None  # only if the rule needs the divergence
        self._trainer: Any = None
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
        self._batch = batch if "kl" in self.scheduler.rule.extra_signals else None
        ended = returns[done.bool()]
        self._reward = ended.double().mean().item() if ended.numel() else None

    def __call__(self, *_: Any) -> None:
        """Observe the stored return; called after the steps."""
        if self._has_stepped:
            self.scheduler.observe(R=self._reward, kl=self._update_kl())
        self._has_stepped, self._reward, self._batch = False, None, None

    def _update_kl(self) -> float | None:
        """Return the divergence of the policy from the one that acted in the batch, or None if it is not known."""
        loss: Any = getattr(self._trainer, "loss_module", None)
        batch = self._batch
        if batch is None or not hasattr(loss, "actor_network_params"):
            return None
        mask = batch.get(("collector", "mask"), None)  # of trajectories that were padded to one length
        batch = batch if mask is None else batch[mask]
        keys, actor = loss.tensor_keys, loss.actor_network
        old_log_prob = batch.get(keys.sample_log_prob, None)
        if not isinstance(old_log_prob, torch.Tensor):
            return None
        batch = batch.to(next(loss.parameters()).device)
        with torch.no_grad(), loss.actor_network_params.to_module(actor):
            log_prob = actor.get_dist(batch.select(*actor.in_keys)).log_prob(batch.get(keys.action))
        return schulman_kl(old_log_prob, log_prob)

    def register(self, trainer: Any, name: str = "reward_scheduler") -> None:
        """Add the hook to a trainer, and the scheduler's state to its checkpoints."""
        self._trainer = trainer
        self.scheduler.apply()  # a rule may start elsewhere than at the base rate
        trainer.register_op("pre_steps_log", self.capture)
        trainer.register_op("post_steps", self)
        trainer.register_module(name, self)

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state."""
        return {"scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scheduler, including its rates in the optimizer."""
        self.scheduler.load_state_dict(state_dict["scheduler"])
