"""Evaluate the policy on environments that training never uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import nan

import torch
from torch import Tensor

from rasched.agents import Agent
from rasched.envs import BatchedEnv
from rasched.train.settings import EvaluationSettings


@torch.no_grad()
def play_episodes(
    act: Callable[[Tensor], Tensor], env: BatchedEnv, failures: dict[int, str] | None = None
) -> Iterator[Tensor]:
    """Play one episode per environment; yield each step's rewards before normalisation, float64 ``(runs, num_envs)``.

    The reward is 0 once an environment's episode is over; the generator ends with the last episode. ``act`` maps
    observations to actions. A run whose environment fails plays no further, and ``failures`` gets the reason. What
    happens to a run after its episodes does not count: it would not happen to the run alone.
    """
    failures = {} if failures is None else failures
    is_playing = torch.ones(env.num_runs, env.num_envs, dtype=torch.bool)
    _stop_failed_runs(is_playing, env, failures)
    while is_playing.any():
        step = env.step(act(env.observation))
        reward = step.reward if step.raw_reward is None else step.raw_reward
        yield torch.where(is_playing, reward.double(), 0.0)
        _stop_failed_runs(is_playing, env, failures)
        is_playing &= ~(step.terminated | step.truncated)


def _stop_failed_runs(is_playing: Tensor, env: BatchedEnv, failures: dict[int, str]) -> None:
    for run_index, reason in env.failures.items():
        if is_playing[run_index].any():
            failures[run_index] = reason
            is_playing[run_index] = False


class Evaluator:
    """Plays the deterministic policy at regular intervals, each time in new episodes.

    The k-th evaluation of a run starts its episodes from random numbers that depend on the run's seed and k alone.
    Neither the frequency of evaluations nor the neighbouring runs change what is played, and the random streams of
    training are not used: a run's numbers are the same with and without evaluations.
    """

    def __init__(self, settings: EvaluationSettings, env: BatchedEnv) -> None:
        self._every = settings.every
        self._make_env = partial(env.make_eval_env, settings.episodes)
        self._env = self._make_env()
        self.failures: dict[int, str] = {}  # the reason, by the index of the run
        self.num_evaluations = 0
        self.last_step = 0  # the training step of the last evaluation

    def is_due(self, step: int, is_last: bool) -> bool:
        """Return whether a multiple of ``eval.every`` has been passed; the end of training is always evaluated."""
        return step > self.last_step and (is_last or step // self._every > self.last_step // self._every)

    def evaluate(self, agent: Agent, step: int) -> Tensor:
        """Return each run's mean return over ``eval.episodes`` episodes, float64 ``(num_runs,)``.

        Each environment plays one episode. More episodes from those that finish early would favour short ones. It is
        NaN for the runs in :attr:`failures`.
        """
        if self._env.failures:  # for good; a run that had played to its end by then goes on with new environments
            self._env = self._make_env()
        self._env.reset_for_evaluation(self.num_evaluations)
        self.num_evaluations, self.last_step = self.num_evaluations + 1, step
        total = torch.zeros(self._env.num_runs, self._env.num_envs, dtype=torch.float64)
        failures: dict[int, str] = {}
        for reward in play_episodes(agent.act, self._env, failures):
            total += reward
        returns = total.cumsum(1)[:, -1] / self._env.num_envs
        returns[list(failures)] = nan
        self.failures |= {run_index: f"in an evaluation, {reason}" for run_index, reason in failures.items()}
        return returns

    def state_dict(self) -> dict[str, int]:
        """Return the number of evaluations, and the step of the last one."""
        return {"num_evaluations": self.num_evaluations, "last_step": self.last_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a saved state."""
        self.num_evaluations, self.last_step = state["num_evaluations"], state["last_step"]
