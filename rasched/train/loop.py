"""The training loop of a single run and of a batch: rollouts, gradient steps, and rewards that move learning rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rasched import stacking
from rasched.agents import GradientStep
from rasched.errors import CheckpointError, RunFailed
from rasched.train.batching import pad_to_vector_width
from rasched.train.callbacks import Callback
from rasched.train.episode_statistics import EpisodeStatistics
from rasched.train.evaluation import Evaluator
from rasched.train.learner import BatchedLearner, Learner, SingleRunLearner
from rasched.train.metrics_row import MetricsRow
from rasched.train.policy import policy_state
from rasched.train.reward_source import RewardSource
from rasched.train.run_result import RunResult, RunStatus
from rasched.train.settings import RunSettings
from rasched.train.video import check_renderable, record_video


def train(
    runs: Sequence[RunSettings],
    callback: Callback | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    batched: bool = False,
) -> list[RunResult]:
    """Train runs that may share a batch (:mod:`rasched.train.batching`), and return how each ended.

    Args:
        runs: One run is a plain torch loop; several are stacked along a leading axis.
        callback: Receives rows, checkpoints, failures, videos and the end.
        state: What ``state_dict`` of :meth:`Callback.on_checkpoint` returned, for the same runs: training continues
            from there, bit for bit. Raises CheckpointError if it does not fit, or if an environment was not saved.
        batched: Train a single run as a batch of one. It then has the numbers, bit for bit, of any larger batch.

    Training uses one thread: on a busy machine, small tensors on several threads are up to 400 times slower.

    """
    # A loss that is not finite fails its run: NumPy need not warn of it too, and torch does not.
    with one_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        training = _Training(runs, callback or Callback(), batched)
        if state is not None:
            training.continue_from(state)
        return training.run()


def dry_construct(run: RunSettings, *, records_video: bool = False) -> None:
    """Construct all parts of a run and discard them; settings that exclude one another raise a ValueError."""
    callback = Callback()
    callback.records_video = records_video
    _Training([run], callback)


class _Training:
    """The parts of a batch, and its progress."""

    def __init__(self, runs: Sequence[RunSettings], callback: Callback, batched: bool = False) -> None:
        self.single = len(runs) == 1 and not batched
        self.callback = callback
        self.run_of_slot = [0] if self.single else pad_to_vector_width(runs)
        self.slot_of_run = [self.run_of_slot.index(run_index) for run_index in range(len(runs))]
        self._run_slots = stacking.run_index(self.slot_of_run)
        padded = [runs[run_index] for run_index in self.run_of_slot]
        seeds = [run.seed for run in padded]
        first = runs[0]
        self.target = first.steps
        self.env = first.env.make(seeds)
        # a bandit whose own reward is observed needs no counting
        counts_episodes = not self.env.is_bandit or first.signal.source != "reward"
        self.episodes = EpisodeStatistics(self.env) if counts_episodes else None
        self.evaluator = Evaluator(first.eval, self.env) if first.eval.every else None
        self.reward_source = RewardSource(first.signal, len(padded))
        self.agent = first.agent.make(self.env, seeds)
        if self.evaluator is not None:
            self.agent.act(self.env.observation)  # an agent without a policy to evaluate is refused before it learns
        if callback.records_video:
            check_renderable(self.agent, self.env)
        parameters = self.agent.parameters
        self.learner: Learner = (
            SingleRunLearner(first, parameters) if self.single else BatchedLearner(padded, parameters)
        )
        self._uses_signal = {
            name: torch.tensor([name in run.rule.extra_signals for run in padded])
            for name in dict.fromkeys(name for run in runs for name in run.rule.extra_signals)
        }
        self.row = MetricsRow()
        self.step = 0
        self.failed: dict[int, RunResult] = {}

    def run(self) -> list[RunResult]:
        last: GradientStep | None = None  # of a row that is not recorded yet
        gradient_steps = self.agent.gradient_steps(self.episodes or self.env)
        for gradient_step in gradient_steps if not self._is_over() else ():
            if last is not None and gradient_step.env_steps != last.env_steps:
                self._finish_row(last)
                if self._is_over():
                    break
            self._take(gradient_step)
            last = gradient_step
            if not gradient_step.is_last_of_rollout and not (self.single and self.learner.failures):
                continue
            self._finish_row(gradient_step)
            last = None
            if not (self.single and self.failed):
                self.callback.on_checkpoint(self.step, self.state_dict)
            if self._is_over():
                break
        results = [self.failed.get(i, RunResult(RunStatus.DONE, self.step)) for i in range(len(self.slot_of_run))]
        if self.callback.records_video:
            with self.learner.evaluation_parameters():
                self._record_videos()
        self.callback.on_policies(self._policy_of)
        self.callback.on_end(results)
        return results

    def _policy_of(self, run_index: int) -> dict[str, Any]:
        with self.learner.evaluation_parameters():
            return policy_state(self.agent, self.env, self.slot_of_run[run_index])

    def _record_videos(self) -> None:
        """Record runs one by one: the frames of all would not fit into memory."""
        for run_index, slot in enumerate(self.slot_of_run):
            if run_index not in self.failed:
                self.callback.on_video(run_index, partial(record_video, self.agent, self.env, slot))

    def _is_over(self) -> bool:
        return self.step >= self.target or len(self.failed) == len(self.slot_of_run)

    def _take(self, gradient_step: GradientStep) -> None:
        """Take one gradient step, and let the rule observe the reward if it does so after each."""
        lrs = self.learner.current_lrs()
        self.row.add_mean({"train/loss": self.learner.step(gradient_step)})
        self.row.set(lrs)
        for name, values in gradient_step.metrics.items():
            self.row.add_mean({f"train/{name}": values.item() if self.single else values})
        if self.reward_source.every_step:
            self._observe(gradient_step)

    def _observe(self, gradient_step: GradientStep) -> None:
        reward, has_reward = self.reward_source.rewards_for(gradient_step, self.episodes)
        progress = min(gradient_step.env_steps / self.target, 1.0)
        signal = self.learner.observe_reward(reward, has_reward, gradient_step.signals, progress)
        self.row.set({"train/signal": signal, **self._extra_signals(gradient_step)})

    def _extra_signals(self, gradient_step: GradientStep) -> dict[str, Tensor | float]:
        """Return columns of the further signals, only of the runs whose rules need them: the others cost nothing."""
        values = {name: gradient_step.signals[name] for name in self._uses_signal if name in gradient_step.signals}
        if self.single:
            return {f"train/{name}": value.item() for name, value in values.items()}
        return {f"train/{name}": torch.where(self._uses_signal[name], value, nan) for name, value in values.items()}

    def _finish_row(self, gradient_step: GradientStep) -> None:
        """Do what is done once for all gradient steps on the same rollout, and record them."""
        self.step = gradient_step.env_steps
        reward, has_reward = gradient_step.reward, gradient_step.has_reward
        columns = {"train/reward": reward if has_reward is None else torch.where(has_reward, reward, nan)}
        if self.episodes is not None:
            columns |= self.episodes.columns()
        if self.evaluator is not None and self.evaluator.is_due(self.step, self.step >= self.target):
            with self.learner.evaluation_parameters():
                columns["eval/return"] = self.evaluator.evaluate(self.agent, self.step)
            self.reward_source.add_evaluation(columns["eval/return"])
        if not self.reward_source.every_step:
            self._observe(gradient_step)
        self.row.set({name: values.item() if self.single else values for name, values in columns.items()})
        row = self.row.pop()
        self.callback.on_row(self.step, row if self.single else self._by_run(row))
        self._end_failed_runs()

    def _end_failed_runs(self) -> None:
        of_evaluation = self.evaluator.failures if self.evaluator is not None else {}
        if not self.learner.failures and not self.env.failures and not of_evaluation:
            return
        errors = {slot: f"{error} at step {self.step}" for slot, error in self.learner.failures.items()}
        errors |= of_evaluation
        errors |= self.env.failures  # these come first: a loss that is not finite may be their consequence
        for slot, error in errors.items():
            run_index = self.run_of_slot[slot]
            if run_index not in self.failed:
                self.failed[run_index] = RunResult(RunStatus.FAILED, self.step, error, RunFailed.exit_code)
                self.callback.on_run_failed(run_index, self.failed[run_index])

    def _by_run(self, columns: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
        """Select the slots of the runs, and put NaN for those that have failed."""
        selected = {name: torch.as_tensor(values)[self._run_slots] for name, values in columns.items()}
        if not self.failed:
            return {**selected}
        is_alive = torch.tensor([run_index not in self.failed for run_index in range(len(self.slot_of_run))])
        return {name: torch.where(is_alive, values, nan) for name, values in selected.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes during training."""
        state = {name: part.state_dict() for name, part in self._parts().items() if name != "env"}
        try:
            env = self.env.state_dict()
        except ValueError as error:  # the weights are worth keeping all the same
            env = {"refused": str(error)}
        failed = {run_index: (result.steps, result.error) for run_index, result in self.failed.items()}
        return {"step": self.step, "failed": failed, "env": env, **state}

    def continue_from(self, state: Mapping[str, Any]) -> None:
        """Load a saved state. Raises CheckpointError if it does not fit these runs, or could not be saved."""
        try:
            refused = state["env"].get("refused")
            if refused is None:
                self.load_state_dict(state)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit these runs ({type(error).__name__}: {error})"
            ) from error
        if refused is not None:
            raise CheckpointError(refused)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, from a saved state."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]
        self.failed = {
            run_index: RunResult(RunStatus.FAILED, steps, error, RunFailed.exit_code)
            for run_index, (steps, error) in state["failed"].items()
        }

    def _parts(self) -> dict[str, Any]:
        """Return the parts that have a state; the environments come before those who count their episodes."""
        parts = {
            "env": self.env,
            "episodes": self.episodes,
            "agent": self.agent,
            "learner": self.learner,
            "reward_source": self.reward_source,
            "evaluator": self.evaluator,
        }
        return {name: part for name, part in parts.items() if part is not None}


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
