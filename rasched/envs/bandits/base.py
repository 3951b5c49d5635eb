"""The base classes of all bandits: arms with means, regret, and one random stream per purpose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor

from rasched.envs.base import BatchedEnv, EnvSettings, StepResult
from rasched.numerics import mean_over_envs
from rasched.rng import RandomStreams
from rasched.validation import check_settings

_FIRST_TEST_SEED = 2**48  # nobody trains with seeds this large


@dataclass(frozen=True, kw_only=True)
class BanditSettings(EnvSettings):
    """Settings of all bandits.

    ``num_envs`` arms are pulled per step. They share the arms' means, but each pull has a reward of its own.
    """

    is_bandit: ClassVar[bool] = True
    arms: Annotated[int, Interval(ge=2, le=1_000_000)] = 10

    def __post_init__(self) -> None:
        check_settings(self, "env.")

    @abstractmethod
    def make(self, seeds: Sequence[int]) -> BatchedBandit:
        """Return the bandits of ``len(seeds)`` runs, one seed per run."""

    def make_test_env(self, num_envs: int, seed: int, state: Mapping[str, Any]) -> BatchedBandit:
        """Return the bandit that the policy was trained on, as it was at the end, with fresh rewards."""
        env = replace(self, num_envs=num_envs).make([_FIRST_TEST_SEED + seed])
        env.load_problem(state["problem"])
        return env


class BatchedBandit(BatchedEnv):
    """One bandit per run. Every pull is an episode of one step, so ``terminated`` is always True.

    ``means`` are the expected rewards of the arms at the next pull, shape ``(num_runs, arms)``. A step has two
    metrics, both averaged over the pulls of a run. ``regret`` is the mean of the best arm minus the mean of the pulled
    arm. ``optimal`` is 1.0 if the pulled arm was a best one, else 0.0.
    """

    dtype = torch.float64
    observation_shape: tuple[int, ...] = ()
    action_shape = ()
    is_bandit = True
    num_actions: int
    means: Tensor

    def __init__(self, settings: BanditSettings, seeds: Sequence[int], stream_names: Sequence[str]) -> None:
        self.num_runs, self.num_envs, self.num_actions = len(seeds), settings.num_envs, settings.arms
        self._streams = {name: RandomStreams(seeds, f"env/{name}") for name in stream_names}
        self._shape = torch.Size((self.num_runs, self.num_envs))
        # There is nothing to observe. A constant 1, unlike 0, lets a linear policy without a bias learn.
        self.observation = torch.ones(self._shape, dtype=self.dtype)
        self._terminated = torch.ones(self._shape, dtype=torch.bool)
        self._truncated = torch.zeros(self._shape, dtype=torch.bool)

    @property
    def best_arm(self) -> Tensor:
        """The arm with the largest mean at the next pull (the first of equals), int64 of shape ``(num_runs,)``."""
        return self.means.argmax(-1)

    def step(self, action: Tensor) -> StepResult:
        """Pull arms, int64 of shape ``(num_runs, num_envs)``.

        Raises ValueError for another shape and RuntimeError for an unknown arm.
        """
        if action.shape != self._shape:
            raise ValueError(
                f"action must have shape (num_runs, num_envs) = {tuple(self._shape)}, got {tuple(action.shape)}"
            )
        mean = self._mean_of(action)
        gap = self._best_mean - mean
        metrics = {"regret": mean_over_envs(gap), "optimal": mean_over_envs((gap == 0).to(self.dtype))}
        step_result = StepResult(self._sample_reward(mean), self._terminated, self._truncated, metrics)
        self._advance_means()
        return step_result

    def make_eval_env(self, num_envs: int) -> BatchedEnv:
        """Raise ValueError: with other random numbers a bandit is another problem."""
        raise ValueError(
            "eval.every must be 0 with a bandit, and the signal another one, as in eval.every=0 signal=standardized:"
            " train/regret already measures the policy at each pull"
        )

    def policy_state(self, run_index: int) -> dict[str, Any]:
        """Return the spaces, and the problem as it is now."""
        return {**super().policy_state(run_index), "problem": self._problem()[[run_index]]}

    def load_problem(self, problem: Tensor) -> None:
        """Continue with the arms of another bandit of one run."""
        self._set_means(problem)

    def _problem(self) -> Tensor:
        """Return what makes the arms of each run, ``(num_runs, ...)``."""
        return self.means

    def state_dict(self) -> dict[str, Any]:
        """Return the means of the arms and the position in each random stream."""
        return {"means": self.means, "streams": {name: s.state_dict() for name, s in self._streams.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from the state of a bandit with the same settings and seeds."""
        self._set_means(state["means"])
        for name, stream in self._streams.items():
            stream.load_state_dict(state["streams"][name])

    @abstractmethod
    def _sample_reward(self, mean: Tensor) -> Tensor:
        """Sample the rewards of arms with these means, ``(num_runs, num_envs)``."""

    def _advance_means(self) -> None:
        """Change the means from this pull to the next. A stationary bandit keeps them."""

    def _set_means(self, means: Tensor) -> None:
        self.means = means
        self._best_mean = means.amax(1, keepdim=True)

    def _mean_of(self, action: Tensor) -> Tensor:
        return self.means.gather(1, action)
