"""The one loop: agents act, losses come, rates follow rewards; for a single run and for a batch alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import nan
from typing import Any

import torch
from torch import Tensor

from rasched import stacking
from rasched.agents import GradientStep
from rasched.errors import RunFailed
from rasched.train.batching import slots
from rasched.train.episode_statistics import EpisodeStatistics
from rasched.train.evaluation import Evaluator
from rasched.train.learner import BatchedLearner, Learner, SingleRunLearner
from rasched.train.metrics_row import Row
from rasched.train.reward_source import RewardSource
from rasched.train.run_result import RunResult, RunStatus
from rasched.train.settings import RunSettings
from rasched.train.video import Video, check_renderable, record_video

Record = Callable[[int, Mapping[str, Tensor | float]], None]
Save = Callable[[Mapping[str, Any]], None]
TakeFilm = Callable[[int, Callable[[], Video]], None]


def train(
    runs: Sequence[RunSettings],
    record: Record,
    *,
    save: Save | None = None,
    save_every: int = 0,
    state: Mapping[str, Any] | None = None,
    stacked: bool = False,
    failed: Callable[[int, RunResult], None] | None = None,
    film: TakeFilm | None = None,
) -> list[RunResult]:
    """Train a batch of runs that may share one (see :mod:`rasched.train.batching`), and return how each ended.

    Args:
        runs: One run is a plain torch loop; more are stacked along a leading axis.
        record: Called with the step and its columns, floats or tensors ``(runs,)``; a run that has failed has NaN.
            Several optimizer steps on the same experience are one call: means, and the rate of the last.
        save: Of a single run, takes its whole state every ``save_every`` steps and at the end.
        save_every: Environment steps between two saves; 0 for the end only.
        state: Of a single run, what ``save`` was given: training goes on from there, bit for bit. A ValueError says
            that the environment's own state could not be saved.
        stacked: Train a single run as a batch of one: it then has the numbers, bit for bit, of any larger batch.
        failed: Called with a run's place and its ending as soon as it fails.
        film: Called at the end, for each run that did not fail, with its place and with what films an episode of its
            policy, which changes no number. Where nothing can be drawn, a ValueError says so before the first step.

    Everything runs on one thread: small tensors on several are up to 400 times slower on a busy machine.

    """
    with one_thread():
        training = _Training(runs, stacked, failed, filmed=film is not None)
        if state is not None:
            training.load_state_dict(state)
        endings = training.run(record, save, save_every)
        if film is not None:
            training.record_video(film)
        return endings


def dry_construct(run: RunSettings, *, filmed: bool = False) -> None:
    """Construct what a run is made of, and throw it away: settings that exclude one another are a ValueError."""
    _Training([run], filmed=filmed)


class _Training:
    """The parts of a batch, and where it stands."""

    def __init__(
        self,
        runs: Sequence[RunSettings],
        stacked: bool = False,
        failed: Callable[[int, RunResult], None] | None = None,
        filmed: bool = False,
    ) -> None:
        self.single = len(runs) == 1 and not stacked
        self.failed = failed
        self.slots = [0] if self.single else slots(runs)  # which run lies in each slot of the tensors
        self.places = [self.slots.index(run) for run in range(len(runs))]  # where each run lies
        self._picked = stacking.run_index(self.places)
        laid = [runs[run] for run in self.slots]
        seeds = [run.seed for run in laid]
        first = runs[0]
        self.target = first.steps
        self.env = first.env.make(seeds)
        # a bandit that is heard pull by pull needs no counting
        counted = not self.env.is_bandit or first.signal.source != "reward"
        self.episodes = EpisodeStatistics(self.env) if counted else None
        self.evaluation = Evaluator(first.eval, self.env) if first.eval.every else None
        self.hearing = RewardSource(first.signal, len(laid))
        self.agent = first.agent.make(self.env, seeds)
        if self.evaluation is not None:
            self.agent.act(self.env.observation)  # an agent that has no policy to evaluate says so before it learns one
        if filmed:
            check_renderable(self.agent, self.env)
        parameters = self.agent.parameters
        self.learner: Learner = SingleRunLearner(first, parameters) if self.single else BatchedLearner(laid, parameters)
        self.row = Row()
        self.steps = 0
        self.ended: dict[int, RunResult] = {}

    def run(self, record: Record, save: Save | None, save_every: int) -> list[RunResult]:
        saved = self.steps
        last: GradientStep | None = None  # of a row that is not recorded yet
        gradient_steps = self.agent.gradient_steps(self.episodes or self.env)
        for update in gradient_steps if self.steps < self.target else ():
            if last is not None and update.env_steps != last.env_steps:
                self._close_row(last, record)
                if self._is_over():
                    break
            self._learn(update)
            last = update
            if not update.is_last_of_rollout and not (self.single and self.learner.failures):
                continue
            self._close_row(update, record)
            last = None
            if self._is_over():
                break
            if save is not None and save_every and self.steps - saved >= save_every:
                save(self.state_dict())
                saved = self.steps
        if save is not None and not self.ended:
            save(self.state_dict())
        return [self.ended.get(run, RunResult(RunStatus.DONE, self.steps)) for run in range(len(self.places))]

    def record_video(self, film: TakeFilm) -> None:
        """Have runs filmed one by one: the pictures of all would not fit into memory."""
        for run, place in enumerate(self.places):
            if run not in self.ended:
                film(run, partial(record_video, self.agent, self.env, place))

    def _is_over(self) -> bool:
        return self.steps >= self.target or len(self.ended) == len(self.places)

    def _learn(self, update: GradientStep) -> None:
        """Take one optimizer step, and let the rule hear of it where it hears of each."""
        rates = self.learner.current_lrs()
        self.row.average({"train/loss": self.learner.step(update)})
        self.row.keep(rates)
        for name, values in update.metrics.items():
            self.row.average({f"train/{name}": values.item() if self.single else values})
        if self.hearing.each_step:
            self._hear(update)

    def _hear(self, update: GradientStep) -> None:
        self.row.keep({"train/signal": self.learner.observe_reward(*self.hearing.of(update, self.episodes))})

    def _close_row(self, update: GradientStep, record: Record) -> None:
        """Do what is done once for all optimizer steps on the same experience, and record them."""
        self.steps = update.env_steps
        reward = update.reward if update.has_reward is None else torch.where(update.has_reward, update.reward, nan)
        columns = {"train/reward": reward}
        if self.episodes is not None:
            columns |= self.episodes.columns()
        if self.evaluation is not None and self.evaluation.due(self.steps, self.steps >= self.target):
            columns["eval/return"] = self.evaluation.returns(self.agent, self.steps)
            self.hearing.evaluated(columns["eval/return"])
        if not self.hearing.each_step:
            self._hear(update)
        self.row.keep({name: values.item() if self.single else values for name, values in columns.items()})
        row = self.row.close()
        record(self.steps, row if self.single else self._by_run(row))
        self._end_failed()

    def _end_failed(self) -> None:
        failures = {slot: f"{why} at step {self.steps}" for slot, why in self.learner.failures.items()}
        failures |= self.env.failures  # they come first: a loss that is not finite may only follow
        if failures:
            for slot, why in failures.items():
                run = self.slots[slot]
                if run not in self.ended:
                    self.ended[run] = RunResult(RunStatus.FAILED, self.steps, why, RunFailed.exit_code)
                    if self.failed is not None:
                        self.failed(run, self.ended[run])

    def _by_run(self, columns: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
        """Pick the runs out of their slots, and blank those that have failed."""
        picked = {name: torch.as_tensor(values)[self._picked] for name, values in columns.items()}
        if not self.ended:
            return {**picked}
        alive = torch.tensor([run not in self.ended for run in range(len(self.places))])
        return {name: torch.where(alive, values, nan) for name, values in picked.items()}

    def state_dict(self) -> dict[str, Any]:
        assert isinstance(self.learner, SingleRunLearner)  # a sweep repeats a run that broke off instead
        state = {name: part.state_dict() for name, part in self._parts().items() if name != "env"}
        try:
            env = self.env.state_dict()
        except ValueError as error:  # the weights are worth keeping all the same
            env = {"refused": str(error)}
        return {"steps": self.steps, "env": env, **state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if "refused" in state["env"]:
            raise ValueError(state["env"]["refused"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.steps = state["steps"]

    def _parts(self) -> dict[str, Any]:
        """Return what moves; environments before those who count their episodes."""
        parts = {
            "env": self.env,
            "episodes": self.episodes,
            "agent": self.agent,
            "learner": self.learner,
            "hearing": self.hearing,
            "evaluation": self.evaluation,
        }
        return {name: part for name, part in parts.items() if part is not None}


@contextmanager
def one_thread() -> Iterator[None]:
    """Give torch one thread, and back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
