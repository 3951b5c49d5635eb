"""The one loop: agents act, losses come, rates follow rewards; for a single run and for a batch alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from typing import Any

import torch
from torch import Tensor

from rasched.train.batches import slots
from rasched.train.learners import Learner, ManyRuns, OneRun
from rasched.train.settings import RunSettings

Record = Callable[[int, Mapping[str, Tensor | float]], None]
Save = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Ending:
    """How a run ended: after how many environment steps, and why it failed, if it did."""

    steps: int
    failure: str | None = None


def train(
    runs: Sequence[RunSettings],
    record: Record,
    *,
    save: Save | None = None,
    save_every: int = 0,
    state: Mapping[str, Any] | None = None,
) -> list[Ending]:
    """Train a batch of runs that may share one (see :mod:`rasched.train.batches`), and return how each ended.

    Args:
        runs: One run is a plain torch loop; more are stacked along a leading axis.
        record: Called with the step and the columns of each optimizer step, floats or tensors ``(runs,)``; a run that
            has failed has NaN.
        save: Of a single run, takes its whole state every ``save_every`` steps and at the end.
        save_every: Environment steps between two saves; 0 for the end only.
        state: Of a single run, what ``save`` was given: training goes on from there, bit for bit.

    Everything runs on one thread: small tensors on several are up to 400 times slower on a busy machine.

    """
    with one_thread():
        training = _Training(runs)
        if state is not None:
            training.load_state_dict(state)
        return training.run(record, save, save_every)


class _Training:
    """The parts of a batch, and where it stands."""

    def __init__(self, runs: Sequence[RunSettings]) -> None:
        self.single = len(runs) == 1
        self.slots = [0] if self.single else slots(runs)  # which run lies in each slot of the tensors
        self.places = torch.tensor([self.slots.index(run) for run in range(len(runs))])  # where each run lies
        laid = [runs[run] for run in self.slots]
        seeds = [run.seed for run in laid]
        self.target = runs[0].steps
        self.env = runs[0].env.make(seeds)
        self.agent = runs[0].agent.make(self.env, seeds)
        parameters = self.agent.parameters
        self.learner: Learner = OneRun(runs[0], parameters) if self.single else ManyRuns(laid, parameters)
        self.steps = 0
        self.ended: dict[int, Ending] = {}

    def run(self, record: Record, save: Save | None, save_every: int) -> list[Ending]:
        saved = self.steps
        updates = self.agent.updates(self.env)
        while self.steps < self.target and len(self.ended) < len(self.places):
            update = next(updates)
            columns = {**self.learner.rates_in_force(), **self.learner.learn(update)}
            for name, values in update.metrics.items():
                columns[f"train/{name}"] = values.item() if self.single else values
            record(update.steps, columns if self.single else self._by_run(columns))
            self.steps = update.steps
            if len(self.learner.failures) > len(self.ended):
                self._end_failed()
            if save is not None and save_every and self.steps - saved >= save_every:
                save(self.state_dict())
                saved = self.steps
        if save is not None and not self.ended:
            save(self.state_dict())
        return [self.ended.get(run, Ending(self.steps)) for run in range(len(self.places))]

    def _end_failed(self) -> None:
        for slot, why in self.learner.failures.items():
            self.ended.setdefault(self.slots[slot], Ending(self.steps, f"{why} at step {self.steps}"))

    def _by_run(self, columns: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
        """Pick the runs out of their slots, and blank those that have failed."""
        picked = {name: torch.as_tensor(values)[self.places] for name, values in columns.items()}
        if not self.ended:
            return {**picked}
        alive = torch.tensor([run not in self.ended for run in range(len(self.places))])
        return {name: torch.where(alive, values, nan) for name, values in picked.items()}

    def state_dict(self) -> dict[str, Any]:
        assert isinstance(self.learner, OneRun)  # a sweep repeats a run that broke off instead
        return {
            "steps": self.steps,
            "env": self.env.state_dict(),
            "agent": self.agent.state_dict(),
            "learner": self.learner.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        assert isinstance(self.learner, OneRun)
        self.env.load_state_dict(state["env"])
        self.agent.load_state_dict(state["agent"])
        self.learner.load_state_dict(state["learner"])
        self.steps = state["steps"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Give torch one thread, and back what it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
