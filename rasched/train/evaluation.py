"""How good is the policy by itself: evaluation on environments that training never touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from rasched.agents import Agent
from rasched.envs import BatchedEnv
from rasched.train.settings import EvaluationSettings


@torch.no_grad()
def play(act: Callable[[Tensor], Tensor], env: BatchedEnv) -> Iterator[Tensor]:
    """Play one episode a copy, and yield what each step pays, before any normalisation: float64 ``(runs, num_envs)``.

    It is 0 where a copy's episode is over, and the last one's end is the end. ``act`` takes observations to actions.
    """
    playing = torch.ones(env.num_runs, env.num_envs, dtype=torch.bool)
    while playing.any():
        outcome = env.step(act(env.observation))
        reward = outcome.reward if outcome.raw_reward is None else outcome.raw_reward
        yield torch.where(playing, reward.double(), 0.0)
        playing &= ~(outcome.terminated | outcome.truncated)


class Evaluator:
    """Plays the deterministic policy every so many environment steps, each time in episodes of their own.

    The k-th evaluation of a run begins its episodes by random numbers that depend on the run's seed and k alone, so
    neither how often one evaluates nor what runs are beside it changes what is met, and training's own streams are
    left alone: a run is the same with and without evaluations.
    """

    def __init__(self, settings: EvaluationSettings, env: BatchedEnv) -> None:
        self._every = settings.every
        self._env = env.make_eval_env(settings.episodes)
        self.done = 0  # evaluations so far
        self.steps = 0  # at which training step the last one was

    def due(self, steps: int, last: bool) -> bool:
        """Return whether a multiple of ``eval.every`` has been passed; the end of training is always evaluated."""
        return steps > self.steps and (last or steps // self._every > self.steps // self._every)

    def returns(self, agent: Agent, steps: int) -> Tensor:
        """Return each run's mean return over ``eval.episodes`` episodes, float64 ``(runs,)``.

        Every copy plays one episode. More from those that finish early would favour the short ones.
        """
        self._env.reset_for_evaluation(self.done)
        self.done, self.steps = self.done + 1, steps
        total = torch.zeros(self._env.num_runs, self._env.num_envs, dtype=torch.float64)
        for paid in play(agent.act, self._env):
            total += paid
        return total.cumsum(1)[:, -1] / self._env.num_envs

    def state_dict(self) -> dict[str, int]:
        """Return how many evaluations there were, and when the last."""
        return {"done": self.done, "steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a saved state."""
        self.done, self.steps = state["done"], state["steps"]
