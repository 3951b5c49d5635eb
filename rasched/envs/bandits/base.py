"""What the bandits share: arms with means, a pull that costs regret, and one random stream a purpose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.envs.base import BatchedEnv, EnvSettings, StepResult
from rasched.numerics import mean_over_envs
from rasched.rng import RandomStreams
from rasched.validation import check_number


@dataclass(frozen=True, kw_only=True)
class BanditSettings(EnvSettings):
    """``arms`` to choose from, pulled ``num_envs`` times a step: the copies share the problem, not the noise."""

    arms: int = 10
    num_envs: int = 1

    def __post_init__(self) -> None:
        check_number("env.arms", self.arms, "at least 2 (a choice needs two)", lambda v: v >= 2)
        check_number("env.num_envs", self.num_envs, "at least 1", lambda v: v >= 1)

    @abstractmethod
    def make(self, seeds: Sequence[int]) -> BatchedBandit:
        """Return one bandit a seed."""


class BatchedBandit(BatchedEnv):
    """One bandit a run. Every pull is an episode of one step: ``terminated`` is always True.

    ``means`` are the arms' expected rewards at the next pull, shape ``(runs, arms)``. Metrics of a step, each averaged
    over the copies: ``regret``, the best arm's mean less the pulled arm's at that pull (expected, so without noise),
    and ``optimal``, 1.0 where the pulled arm was a best one.
    """

    dtype = torch.float64
    observation_shape: tuple[int, ...] = ()
    action_shape = ()
    is_bandit = True
    num_actions: int
    means: Tensor

    def __init__(self, settings: BanditSettings, seeds: Sequence[int], stream_names: Sequence[str]) -> None:
        self.num_runs, self.num_envs, self.num_actions = len(seeds), settings.num_envs, settings.arms
        self._streams = {purpose: RandomStreams(seeds, f"env/{purpose}") for purpose in stream_names}
        self._pulls = torch.Size((self.num_runs, self.num_envs))
        # There is nothing to see. One rather than zero: a linear policy without a bias can still learn from it.
        self.observation = torch.ones(self._pulls, dtype=self.dtype)
        self._terminated = torch.ones(self._pulls, dtype=torch.bool)
        self._truncated = torch.zeros(self._pulls, dtype=torch.bool)

    @property
    def best(self) -> Tensor:
        """The arm of the largest mean at the next pull (the first of equals), int64 of shape ``(runs,)``."""
        return self.means.argmax(-1)

    def step(self, action: Tensor) -> StepResult:
        """Pull arms, int64 of shape ``(runs, num_envs)``.

        Raises ValueError for another shape and RuntimeError for an arm that is not there.
        """
        if action.shape != self._pulls:
            raise ValueError(
                f"action must have shape (runs, num_envs) = {tuple(self._pulls)}, got {tuple(action.shape)}"
            )
        mean = self._mean(action)
        gap = self._best_mean - mean
        metrics = {"regret": mean_over_envs(gap), "optimal": mean_over_envs((gap == 0).to(self.dtype))}
        outcome = StepResult(self._reward(mean), self._terminated, self._truncated, metrics)
        self._move()
        return outcome

    def make_eval_env(self, num_envs: int) -> BatchedEnv:
        """Refuse: a bandit with other streams is another problem, and ``train/regret`` judges each pull already."""
        raise ValueError("eval.every must be 0 with a bandit: its train/regret says at each pull what a pull costs")

    def state_dict(self) -> dict[str, Any]:
        """Return the arms' means and how far each stream has been drawn."""
        return {"means": self.means, "streams": {name: s.state_dict() for name, s in self._streams.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on, bit for bit, from the state of a bandit with the same settings and seeds."""
        self._set_means(state["means"])
        for name, stream in self._streams.items():
            stream.load_state_dict(state["streams"][name])

    @abstractmethod
    def _reward(self, mean: Tensor) -> Tensor:
        """Draw the rewards of arms with these means, ``(runs, num_envs)``."""

    def _move(self) -> None:
        """Bring the means from this pull to the next; a stationary bandit keeps them."""

    def _set_means(self, means: Tensor) -> None:
        self.means = means
        self._best_mean = means.amax(1, keepdim=True)

    def _mean(self, action: Tensor) -> Tensor:
        return self.means.gather(1, action)
