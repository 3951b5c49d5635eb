"""Stop runs and sweeps by signals at random moments, resume them, and compare them with undisturbed ones."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from rasched.records.journal import read_journal
from safety.commands import Command, Outcome, run
from safety.comparison import Records, leftovers, read_records

_NETWORK = ("agent.hidden=[8]", "env=gym", "env.id=CartPole-v1", "optimizer=adam", "optimizer.lr=1e-3")
_PPO = ("agent=ppo", *_NETWORK, "agent.n_steps=64", "agent.batch_size=64", "agent.n_epochs=2")
_RUNS = {
    "bandit": ("steps=1500", "env=drifting"),
    "reinforce": ("agent=reinforce", *_NETWORK, "agent.n_steps=50", "steps=4000"),
    "ppo": (*_PPO, "steps=4000", "signal=episodes"),
    "a2c": ("agent=a2c", *_NETWORK, "steps=2000", "eval.every=500", "eval.episodes=1"),
    "dqn": ("agent=dqn", *_NETWORK, "steps=1500", "agent.buffer_size=1000", "agent.learning_starts=200"),
}
_SWEEPS = {
    "bandit sweep": ("steps=800", "env=gaussian,drifting", "rule=kelly,trend", "seed=0,1"),
    "ppo sweep": (*_PPO, "steps=2000", "rule=kelly,none", "seed=0,1", "agent.gamma=0.9,0.99"),
}
CASES = {name: ("run", *words, "control=false", "logger.plot=false") for name, words in _RUNS.items()}
CASES |= {f"{name}, {j} worker": ("sweep", *words, "-j", str(j)) for name, words in _SWEEPS.items() for j in (1, 2)}
EVERY = 200  # environment steps between checkpoints
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_EXPECTED = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130,)}


@dataclass
class Kill:
    """One signal: the recorded steps since the last checkpoint, and for how many seconds workers were left."""

    case: str
    number: int
    is_begun: bool = True  # False: it came before the first record
    num_steps_lost: int = 0  # of a single run; the rows of a batch are recorded with its checkpoints
    others_alive: float = 0.0
    num_kills: int = 1


def arguments(case: str, folder: str) -> list[str]:
    """Return the command line of a case that writes into ``folder``."""
    where = "hydra.sweep.dir" if CASES[case][0] == "sweep" else "hydra.run.dir"
    return [*CASES[case], f"{where}={folder}", f"logger.checkpoint_every={EVERY}"]


def undisturbed(root: Path, case: str) -> tuple[Records, float]:
    """Return the records of an undisturbed run of a case, and the seconds that it took."""
    start = time.monotonic()
    outcome = run(root / "whole", *arguments(case, "out"))
    seconds = time.monotonic() - start
    assert outcome.code == 0, (case, outcome)
    records = read_records(root / "whole/out")
    shutil.rmtree(root / "whole")
    return records, seconds


def kill_and_resume(root: Path, case: str, number: int, seconds: float, moments: random.Random) -> tuple[Kill, Records]:
    """Send a signal after a part of ``seconds``, and to some of the resumed commands too; return what is left."""
    here, kill = root / "cut", Kill(case, number)
    shutil.rmtree(here, ignore_errors=True)
    command = Command(here, *arguments(case, "out"))
    _stop(command, number, moments.uniform(0, seconds))
    outcome = command.wait()
    assert outcome.code in (0, *_EXPECTED[signal.Signals(number)]), (case, number, outcome)
    assert "Traceback" not in outcome.err, (case, number, outcome.err)
    while not _is_begun(here / "out"):  # nothing to resume yet: the same command again
        shutil.rmtree(here)
        kill.is_begun = False
        outcome = run(here, *arguments(case, "out"))
        assert outcome.code == 0, (case, outcome)
    kill.num_steps_lost = _num_steps_lost(here / "out")
    if moments.random() < 0.25 and outcome.code != 0:
        again = Command(here, "resume", "out")
        _stop(again, signal.SIGKILL, moments.uniform(0, seconds))
        again.wait()
        kill.num_kills += 1
    outcome, kill.others_alive = _resume(here)
    assert outcome.code == 0, (case, number, outcome)
    assert not leftovers(here / "out"), (case, number, leftovers(here / "out"))
    return kill, read_records(here / "out")


def _stop(command: Command, number: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and command.poll() is None:
        time.sleep(0.001)
    command.send(number)


def _is_begun(folder: Path) -> bool:
    return (folder / "sweep.json").exists() or (folder / "run.json").exists()


def _resume(here: Path) -> tuple[Outcome, float]:
    """Resume, as soon as no process holds the folder; return the outcome and the seconds until then."""
    start = time.monotonic()
    while True:
        begin = time.monotonic()
        outcome = run(here, "resume", "out")
        if "is being worked on by another process" not in outcome.err:
            return outcome, begin - start
        assert time.monotonic() - start < 60, outcome


def _num_steps_lost(run_folder: Path) -> int:
    """Return the steps that the journal of a run has, and its last checkpoint has not."""
    if not (run_folder / "metrics.jsonl").exists():
        return 0
    steps = read_journal(run_folder / "metrics.jsonl").steps
    paths = [path for path in (run_folder / "checkpoint.pt", run_folder / "checkpoint.previous.pt") if path.exists()]
    saved = torch.load(paths[0], weights_only=True)["state"]["step"] if paths else 0
    return int(steps[-1]) - saved if len(steps) else 0
