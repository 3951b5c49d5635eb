"""What the checkpoints of a batch cost, and what a sweep loses that is killed between two of them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safety.commands import Command, run
from safety.comparison import read_records

BATCHES: dict[str, tuple[str, ...]] = {
    "1,000 bandit runs": ("steps=2000",),
    "96 PPO runs": ("agent=ppo", "env=gym", "env.id=CartPole-v1", "optimizer=adam", "optimizer.lr=3e-4", "steps=8192"),
}
NUM_RUNS = {"1,000 bandit runs": 1000, "96 PPO runs": 96}
SWEEP = (
    *("sweep", "rule=kelly,none", "seed=range(0,100)", "agent=ppo", "env=gym", "env.id=CartPole-v1", "optimizer=adam"),
    *("optimizer.lr=1e-3", "agent.hidden=[16]", "agent.n_steps=64", "agent.batch_size=64", "agent.n_epochs=2"),
    *("steps=6000", "-j", "1", "logger.checkpoint_seconds=5", "hydra.sweep.dir=out"),
)


@dataclass
class Cost:
    """Seconds of training a batch, of each saved checkpoint, and of all that is done between two of them."""

    total: float = 0.0
    saves: list[float] = field(default_factory=list)
    others: float = 0.0

    def fraction(self, interval: float = 60.0) -> float:
        """Return the part of the training time that a checkpoint per ``interval`` seconds takes."""
        from rasched.runner.run_batch import MAX_CHECKPOINT_COST

        of_saves = min(sum(self.saves) / len(self.saves) / interval, MAX_CHECKPOINT_COST)
        return of_saves + self.others / (self.total - sum(self.saves))


def measure(root: Path, name: str) -> Cost:
    """Train a batch in this process with a checkpoint at half time, and time the callback of the training loop."""
    from rasched.compose.composer import Composer
    from rasched.compose.jobs import JobComposer
    from rasched.records.provenance import GitState
    from rasched.runner import run_batch
    from rasched.runner.batching import make_batches
    from rasched.runner.progress import ProgressReporter
    from rasched.runner.run_spec import make_run_specs

    jobs = JobComposer(Composer.open(), [])
    steps = next(int(word.removeprefix("steps=")) for word in BATCHES[name] if word.startswith("steps="))
    words = [*BATCHES[name], f"logger.checkpoint_every={steps // 2}", "logger.checkpoint_seconds=null"]
    specs = make_run_specs([jobs.compose([f"seed={seed}", *words], seed) for seed in range(NUM_RUNS[name])])
    (batch,) = make_batches(specs, 1)[0]
    cost, on_checkpoint = Cost(), run_batch._BatchRun.on_checkpoint

    def timed(self: Any, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        saved, start = self.saved_step, time.perf_counter()
        on_checkpoint(self, step, state_dict)
        seconds = time.perf_counter() - start
        if self.saved_step != saved:
            cost.saves.append(seconds)
        else:
            cost.others += seconds

    run_batch._BatchRun.on_checkpoint = timed  # type: ignore[method-assign]
    (root / "cost").mkdir()
    start = time.perf_counter()
    run_batch.train_batch(batch.in_folder(root / "cost").specs, ProgressReporter(), GitState(root))
    cost.total = time.perf_counter() - start
    run_batch._BatchRun.on_checkpoint = on_checkpoint  # type: ignore[method-assign]
    shutil.rmtree(root / "cost")
    return cost


@dataclass
class HalfTime:
    """A sweep that was killed at half time: seconds, and the difference from the undisturbed one."""

    whole: float
    lost: float  # from the last file that is used again to the kill
    both: float  # of the killed command and the resumed one together
    difference: str


def kill_at_half_time(root: Path, words: Sequence[str] = SWEEP) -> HalfTime:
    """Kill a sweep at half time and resume it."""
    start = time.monotonic()
    outcome = run(root / "whole", *words)
    whole = time.monotonic() - start
    assert outcome.code == 0, outcome
    records = read_records(root / "whole/out")
    start = time.monotonic()
    command = Command(root / "cut", *words)
    while time.monotonic() < start + whole / 2 and command.poll() is None:
        time.sleep(0.01)
    os.kill(command.pid, signal.SIGKILL)
    moment = time.time()
    both = time.monotonic() - start
    command.wait()
    used = [path.stat().st_mtime for name in ("*.pt", "run.json") for path in (root / "cut/out").rglob(name)]
    start = time.monotonic()
    outcome = run(root / "cut", "resume", "out", "-j", "1")
    both += time.monotonic() - start
    assert outcome.code == 0, outcome
    return HalfTime(whole, moment - max(used), both, records.difference(read_records(root / "cut/out")))
