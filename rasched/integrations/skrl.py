"""The scheduler in skrl, whose agents step schedulers without a reward and do not save them."""

from __future__ import annotations

from typing import Any

import torch

from rasched.integrations.divergence import schulman_kl
from rasched.integrations.optional import require
from rasched.scheduler import RewardAdaptiveScheduler

CHECKPOINT_NAME = "rasched"


def attach_skrl(agent: Any, scheduler: RewardAdaptiveScheduler | None = None) -> list[RewardAdaptiveScheduler]:
    """Set the learning rates of a skrl agent by the returns of its episodes.

    After each ``agent.update`` the schedulers observe the mean return of the episodes that ended since the last update.
    If no episode ended, there is no reward. The schedulers are saved and restored with the agent's checkpoints.

    A rule that needs the KL divergence (``KLSearch``, ``KLAdaptive``) gets that of the whole update, from the policy
    that acted to the updated one, by Schulman's estimate on all actions in the agent's memory, which takes one forward
    pass after the update. An agent whose memory holds no log-probabilities (SAC, TD3, DQN), or with a recurrent policy,
    gives none.

    Args:
        agent: A skrl agent. The schedulers come from its configuration (``learning_rate_scheduler`` is the class,
            ``learning_rate_scheduler_kwargs`` its settings). An agent with two optimizers has two.
        scheduler: A scheduler of another optimizer, if the configuration names none.

    Returns:
        The schedulers that observe the reward.

    Raises:
        ImportError: skrl is not installed.
        ValueError: There is no scheduler, or the agent has been attached before.

    """
    require("skrl", "skrl")
    if any(name.startswith(CHECKPOINT_NAME) for name in agent.checkpoint_modules):
        raise ValueError(
            "this agent is attached already, and its rewards would be observed twice: call attach_skrl once"
        )
    schedulers = [scheduler] if scheduler is not None else _schedulers(agent)
    if not schedulers:
        raise ValueError(
            "the agent has no RewardAdaptiveScheduler: configure it with"
            " learning_rate_scheduler=RewardAdaptiveScheduler, or pass one"
        )
    for index, member in enumerate(schedulers):
        agent.checkpoint_modules[CHECKPOINT_NAME + (f"_{index}" if index else "")] = member
    for member in schedulers:
        member.apply()  # a rule may start elsewhere than at the base rate
    needs_kl = any("kl" in member.rule.extra_signals for member in schedulers)
    returns = _EpisodeReturns()
    record, update = agent.record_transition, agent.update

    def record_transition(**transition: Any) -> Any:
        if getattr(agent, "training", True):  # an evaluation records transitions too
            # before the agent, which adds its own bootstrap values to this tensor
            returns.add(transition["rewards"], transition["terminated"] | transition["truncated"])
        return record(**transition)

    def update_and_observe(**when: Any) -> Any:
        result = update(**when)
        reward, kl = returns.pop(), _update_kl(agent) if needs_kl else None
        for member in schedulers:
            member.observe(R=reward, kl=kl)
        return result

    agent.record_transition, agent.update = record_transition, update_and_observe
    return schedulers


def _schedulers(agent: Any) -> list[RewardAdaptiveScheduler]:
    """Return the schedulers that the agent made, one per optimizer."""
    return [value for value in vars(agent).values() if isinstance(value, RewardAdaptiveScheduler)]


def _update_kl(agent: Any) -> float | None:
    """Return the divergence of the policy from the one that acted, or None if the memory does not tell it."""
    names = ["observations", "states", "actions", "log_prob"]
    if "log_prob" not in getattr(agent.memory, "tensors", ()) or getattr(agent, "_rnn", False):
        return None
    ((observations, states, actions, old_log_prob),) = agent.memory.sample_all(names)
    devices = [agent.device] if torch.device(agent.device).type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices):  # the policy draws actions, which are not used
        inputs = {
            "observations": agent._observation_preprocessor(observations),
            "states": agent._state_preprocessor(states),
            "taken_actions": actions,
        }
        _, outputs = agent.policy.act(inputs, role="policy")
        return schulman_kl(old_log_prob, outputs["log_prob"])


class _EpisodeReturns:
    """The returns of the episodes that ended, summed per environment."""

    def __init__(self) -> None:
        self._running: Any = None
        self._ended: list[float] = []

    def add(self, rewards: Any, done: Any) -> None:
        """Add one step of all environments, shape ``(num_envs, 1)``."""
        rewards = rewards.detach().to("cpu", copy=True).double().reshape(-1)
        done = done.detach().cpu().reshape(-1).bool()
        if self._running is None:
            self._running = rewards.new_zeros(rewards.shape)
        self._running += rewards
        self._ended.extend(self._running[done].tolist())
        self._running[done] = 0.0

    def pop(self) -> float | None:
        """Return the mean return of the episodes that ended since the last call, or None."""
        mean = sum(self._ended) / len(self._ended) if self._ended else None
        self._ended.clear()
        return mean
