"""The scheduler inside skrl, whose agents step any scheduler bare and keep it out of their checkpoints."""

from __future__ import annotations

from typing import Any

from rasched.integrations.optional import require
from rasched.scheduler import RewardAdaptiveScheduler

CHECKPOINT_NAME = "rasched"


def attach_skrl(agent: Any, scheduler: RewardAdaptiveScheduler | None = None) -> list[RewardAdaptiveScheduler]:
    """Let the returns of the episodes that ended before an update of a skrl agent drive its learning rates.

    After each ``agent.update`` the mean return of the episodes that ended since the last one is observed; without one
    nothing moves. The schedulers are saved and restored with the agent's checkpoints.

    Args:
        agent: A skrl agent; the schedulers come from its configuration (``learning_rate_scheduler`` is the class,
            ``learning_rate_scheduler_kwargs`` its settings), two for agents with two optimizers.
        scheduler: One of another optimizer, where the configuration names none.

    Returns:
        The schedulers that are told the reward.

    Raises:
        ImportError: skrl is not installed.
        ValueError: There is no scheduler, or the agent is attached already.

    """
    require("skrl", "skrl")
    if any(name.startswith(CHECKPOINT_NAME) for name in agent.checkpoint_modules):
        raise ValueError("this agent is attached already: its rewards would be observed twice")
    schedulers = [scheduler] if scheduler is not None else _schedulers(agent)
    if not schedulers:
        raise ValueError(
            "the agent has no RewardAdaptiveScheduler: configure it with"
            " learning_rate_scheduler=RewardAdaptiveScheduler, or pass one"
        )
    for i, each in enumerate(schedulers):
        agent.checkpoint_modules[CHECKPOINT_NAME + (f"_{i}" if i else "")] = each
    returns = _Returns()
    record, update = agent.record_transition, agent.update

    def recording(**transition: Any) -> Any:
        if getattr(agent, "training", True):  # an evaluation records its transitions too
            # before the agent: it adds its own bootstrap values to this tensor
            returns.add(transition["rewards"], transition["terminated"] | transition["truncated"])
        return record(**transition)

    def updating(**when: Any) -> Any:
        result = update(**when)
        reward = returns.take()
        for each in schedulers:
            each.observe(R=reward)
        return result

    agent.record_transition, agent.update = recording, updating
    return schedulers


def _schedulers(agent: Any) -> list[RewardAdaptiveScheduler]:
    """Return those that the agent made: one, or one for each of its optimizers."""
    return [value for value in vars(agent).values() if isinstance(value, RewardAdaptiveScheduler)]


class _Returns:
    """Sums each environment's rewards up to the end of its episode, and gives the mean of those that ended."""

    def __init__(self) -> None:
        self._running: Any = None
        self._ended: list[float] = []

    def add(self, rewards: Any, done: Any) -> None:
        """Take one step of all environments, shape ``(environments, 1)``."""
        rewards = rewards.detach().to("cpu", copy=True).double().reshape(-1)
        done = done.detach().cpu().reshape(-1).bool()
        if self._running is None:
            self._running = rewards.new_zeros(rewards.shape)
        self._running += rewards
        self._ended.extend(self._running[done].tolist())
        self._running[done] = 0.0

    def take(self) -> float | None:
        """Return the mean return of the episodes that ended since the last call, None without one."""
        mean = sum(self._ended) / len(self._ended) if self._ended else None
        self._ended.clear()
        return mean
