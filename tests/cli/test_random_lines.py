"""Random command lines end with 0, 2 or 3; on 2 there is one sentence, and nothing is left behind.

RASCHED_RANDOM_LINES sets their number; the long form is 1,000.
"""

import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEYS = (
    "rule rule.gain rule.temp rule.window signal signal.source signal.every signal.normalize signal.ema_reward_beta "
    "scheduler.min_lr scheduler.max_lr scheduler.adapt_momentum env env.arms env.num_envs env.id env.mean agent "
    "agent.hidden agent.n_steps agent.gamma agent.baseline optimizer optimizer.lr optimizer.momentum optimizer.betas "
    "eval eval.every logger logger.log_every logger.plot logger.video logger.checkpoint_every steps seed seeds preset "
    "hydra.mode hydra/launcher hydra/sweeper hydra.run.dir hydra.sweep.subdir lr gain zoo nothing rule.x.y"
).split()
VALUES = (
    "kelly trend none variance gaussian contextual switching gym reinforce sgd adam asgd raw smoothed null true false "
    "0 1 -1 2 0.5 1e-3 1e3 1e400 nan 99999999999999999999 [8] [8,8] [] [a] {a:1} '' 'a b' kelly,trend 0,1 range(0,2) "
    "0..2 3..1 logspace(0.1,1,2) logspace(1) choice(1,2) glob(*) ${steps} ${nothing} ??? step update reward center x/y "
    "../x CartPole-v1 basic batched MULTIRUN RUN"
).split()
FLAGS = (
    "-m",
    "--json",
    "--debug",
    "--cfg",
    "job",
    "--rule",
    "--config-dir",
    ".",
    "-x",
    "=",
    "kelly",
    "~rule",
    "--resolve",
)
override = st.builds(
    lambda prefix, key, value: f"{prefix}{key}={value}",
    st.sampled_from(["", "", "", "", "+", "++"]),
    st.sampled_from(KEYS),
    st.sampled_from(VALUES),
)
word = st.one_of(override, override, override, st.sampled_from(FLAGS), st.text("ab=.,[]{}$~+-@ ", max_size=6))
line = st.tuples(
    st.sampled_from(["run", "run", "run", "sweep --dry-run", "resume", "kelly", ""]), st.lists(word, max_size=3)
)
NUM_LINES = int(os.environ.get("RASCHED_RANDOM_LINES", "40"))
SMALL = ("steps=3", "logger.plot=false")


@pytest.mark.filterwarnings("ignore")  # of torch and Hydra, for settings that nobody would choose
@settings(max_examples=NUM_LINES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line)
def test_a_random_command_line_ends_in_one_sentence(
    rasched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, line: tuple[str, list[str]]
) -> None:
    command, words = line
    args = [*command.split(), *(SMALL if command == "run" else ()), *words]
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.chdir(name)
        result = rasched(*args)
        left = [path.name for path in Path(name).iterdir()]
        monkeypatch.chdir("/")
    assert result.code in (0, 2, 3), (shlex.join(args), result)
    if result.code == 2 and "--debug" not in args and "Usage:" not in result.err:
        assert len(result.err.splitlines()) == 1, (shlex.join(args), result)
        assert left == [], (shlex.join(args), left)
