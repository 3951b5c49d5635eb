"""The scheduler inside Stable-Baselines3, which writes ``model.lr_schedule`` into every group at each ``train()``."""

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


class SB3RewardCallback(BaseCallback):  # type: ignore[misc,unused-ignore]  # Any where it is not installed
    """Lets the return of the episodes that ended in a rollout drive the learning rate of PPO, A2C, DQN, SAC, TD3.

    After each rollout the mean return of the episodes that ended in it is observed; without one nothing moves. All of
    a model's optimizers (SAC has three) get the rate of the scheduler's first group, as a float, which is how
    Stable-Baselines3 sets rates. The scheduler's state is saved with ``model.save``, and taken up by the callback of
    a loaded model.

    Args:
        scheduler: A scheduler of one of the model's optimizers (``model.policy.optimizer``, ``model.actor.optimizer``),
            or a function from optimizer to scheduler.
        resume: Take up the state that the model brought along from its last training; False starts afresh.
        verbose: As in Stable-Baselines3.

    Raises:
        ValueError: At the start of training, for the scheduler of an optimizer that is not the model's.

    """

    def __init__(
        self,
        scheduler: RewardAdaptiveScheduler | Callable[[Any], RewardAdaptiveScheduler],
        resume: bool = True,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        self._given = scheduler
        self._resume = resume
        self._returns: list[float] = []
        self._ended = self._told = 0  # episodes, and those whose return a Monitor told

    def _init_callback(self) -> None:
        optimizers = _optimizers(self.model)
        given = self._given
        self.scheduler = given if isinstance(given, RewardAdaptiveScheduler) else given(optimizers[0])
        if not any(self.scheduler.optimizer is optimizer for optimizer in optimizers):
            raise ValueError(
                "the scheduler's optimizer is not the model's: construct it with model.policy.optimizer"
                " (model.actor.optimizer for SAC and TD3), after PPO.load of the loaded model"
            )
        state = getattr(self.model, "_rasched_state", None)
        if self._resume and state is not None:
            self.scheduler.load_state_dict(state)
        self.model.lr_schedule = SchedulerLR(self.scheduler)
        self._keep_state()

    def _keep_state(self) -> None:
        model: Any = self.model  # takes any attribute, and saves it
        model._rasched_state = self.scheduler.state_dict()  # what model.save writes, as JSON

    def _on_step(self) -> bool:
        for done, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            self._ended += bool(done)
            if "episode" in info:
                self._told += 1
                self._returns.append(float(info["episode"]["r"]))
        return True

    def _on_rollout_end(self) -> None:
        # The new episodes only: the logged ep_rew_mean is over the last hundred, and lags accordingly.
        self.scheduler.observe(R=sum(self._returns) / len(self._returns) if self._returns else None)
        self._returns.clear()
        self._keep_state()
        if self._ended >= EPISODES_BEFORE_WARNING:
            self._warn_if_untold()

    def _on_training_end(self) -> None:
        self._warn_if_untold()

    def _warn_if_untold(self) -> None:
        if self._ended and not self._told:
            self._told = 1  # once
            warnings.warn(
                f"{self._ended} episodes ended and none told its return, so the learning rate stays constant:"
                " wrap the environment in stable_baselines3.common.monitor.Monitor (or VecMonitor)",
                UserWarning,
                stacklevel=2,
            )


class SchedulerLR:
    """The scheduler's rate as a schedule of Stable-Baselines3, which calls it twice an update: so it only reads.

    Pickled it is the constant of its present value: a scheduler that travels in ``model.zip`` would come back with an
    optimizer that is no model's.
    """

    def __init__(self, scheduler: RewardAdaptiveScheduler) -> None:
        self._scheduler = scheduler

    def __call__(self, progress_remaining: float) -> float:
        """Return the rate in force; the progress does not matter."""
        return self._scheduler.get_lr()[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return FloatSchedule, (self._scheduler.get_lr()[0],)


def _optimizers(model: Any) -> list[Any]:
    """Return a model's optimizers, that of the policy first."""
    holders = (model.policy, getattr(model, "actor", None), getattr(model, "critic", None))
    found = [getattr(holder, "optimizer", None) for holder in holders] + [getattr(model, "ent_coef_optimizer", None)]
    return [optimizer for optimizer in found if optimizer is not None]
