"""The scheduler in Stable-Baselines3, which writes ``model.lr_schedule`` to every group at each ``train()``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rasched.integrations.optional import missing
from rasched.scheduler import RewardAdaptiveScheduler

try:
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.utils import FloatSchedule
except ImportError as error:
    raise missing("stable_baselines3", "sb3") from error

EPISODES_BEFORE_WARNING = 100


class SB3RewardCallback(BaseCallback):  # type: ignore[misc,unused-ignore]  # Any if it is not installed
    """Set the learning rate of PPO, A2C, DQN, SAC or TD3 by the episode returns.

    After each rollout the scheduler observes the mean return of the episodes that ended in it. If no episode ended, the
    rate stays. All of a model's optimizers (SAC has three) get the rate of the scheduler's first group, as a float,
    which is how Stable-Baselines3 sets rates. The scheduler's state is saved with ``model.save``, and the callback of a
    loaded model restores it.

    A rule that needs the KL divergence of an update (``KLSearch``, ``KLAdaptive``) gets PPO's ``approx_kl``: Schulman's
    estimate, as a mean over the minibatches of the last epoch, each before its own step. It is therefore a little below
    that of the whole update. Other algorithms give none.

    Args:
        scheduler: A scheduler of one of the model's optimizers (``model.policy.optimizer``, ``model.actor.optimizer``),
            or a function from optimizer to scheduler.
        resume: Restore the state that was saved with the model; False starts from the base rate.
        verbose: The same as in Stable-Baselines3.

    Raises:
        ValueError: At the start of training, if the scheduler's optimizer is not one of the model's.

    """

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler],
        resume: bool = True,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        self._scheduler_or_factory = scheduler
        self._resume = resume
        self._returns: list[float] = []
        self._num_ended = self._num_with_return = 0  # episodes, and those whose return a Monitor reported

    def _init_callback(self) -> None:
        optimizers = _optimizers(self.model)
        given = self._scheduler_or_factory
        self.scheduler = given if isinstance(given, RewardAdaptiveScheduler) else given(optimizers[0])
        if not any(self.scheduler.optimizer is optimizer for optimizer in optimizers):
            raise ValueError(
                "the scheduler's optimizer is not the model's: construct it with model.policy.optimizer"
                " (model.actor.optimizer for SAC and TD3), after PPO.load of the loaded model"
            )
        state = getattr(self.model, "_rasched_state", None)
        if self._resume and state is not None:
            self.scheduler.load_state_dict(state)
        self.scheduler.apply()  # a rule may start elsewhere than at the base rate
        self.model.lr_schedule = SchedulerLR(self.scheduler)
        self._store_state()

    def _store_state(self) -> None:
        model: Any = self.model  # accepts any attribute, and saves it
        model._rasched_state = self.scheduler.state_dict()  # model.save writes it as JSON

    def _on_step(self) -> bool:
        for done, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            self._num_ended += bool(done)
            if "episode" in info:
                self._num_with_return += 1
                self._returns.append(float(info["episode"]["r"]))
        return True

    def _on_rollout_end(self) -> None:
        # The new episodes only, because the logged ep_rew_mean is over the last hundred and reacts slowly.
        reward = sum(self._returns) / len(self._returns) if self._returns else None
        # recorded by the update before this rollout, and still there because the logger is emptied after it
        kl = self.model.logger.name_to_value.get("train/approx_kl")
        self.scheduler.observe(R=reward, kl=None if kl is None else float(kl))
        self._returns.clear()
        self._store_state()
        if self._num_ended >= EPISODES_BEFORE_WARNING:
            self._warn_if_no_returns()

    def _on_training_end(self) -> None:
        self._warn_if_no_returns()

    def _warn_if_no_returns(self) -> None:
        if self._num_ended and not self._num_with_return:
            self._num_with_return = 1  # once
            warnings.warn(
                f"{self._num_ended} episodes ended and none reported its return, so the learning rate stays constant:"
                " wrap the environment in stable_baselines3.common.monitor.Monitor (or VecMonitor)",
                UserWarning,
                stacklevel=2,
            )


class SchedulerLR:
    """The scheduler's rate as a schedule of Stable-Baselines3.

    It only reads, because Stable-Baselines3 calls it twice per update. It is pickled as the constant of its current
    value, because a scheduler in ``model.zip`` would be loaded with an optimizer of its own.
    """

    def __init__(self, scheduler: RewardAdaptiveScheduler) -> None:
        self._scheduler = scheduler

    def __call__(self, progress_remaining: float) -> float:
        """Return the current rate; ``progress_remaining`` is not used."""
        return self._scheduler.get_lr()[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return FloatSchedule, (self._scheduler.get_lr()[0],)


def _optimizers(model: Any) -> list[Any]:
    """Return a model's optimizers, the policy's first."""
    holders = (model.policy, getattr(model, "actor", None), getattr(model, "critic", None))
    optimizers = [getattr(holder, "optimizer", None) for holder in holders] + [
        getattr(model, "ent_coef_optimizer", None)
    ]
    return [optimizer for optimizer in optimizers if optimizer is not None]
