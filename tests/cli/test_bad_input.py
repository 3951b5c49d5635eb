"""Wrong words: one sentence, the way out, exit code 2, no traceback, and nothing written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WRONG = {
    "run rule=kely": "rule 'kely' is unknown; known rules: cosine, greedy, kelly, ",
    "run rule.gian=0.3": "rule.gian is unknown; settings of rule=kelly: gain, temp (did you mean 'gain'?)",
    "run +rule.gian=0.3": "has no setting 'gian'; its settings: gain, temp (did you mean 'gain'?)",
    "run rul.gain=0.3": "rul.gain is unknown: there is no 'rul'; known: agent, env, eval, logger, optimizer, rule",
    "run env=gym env.kwargs={g:9.8}": "env.kwargs takes new entries one by one: +env.kwargs.NAME=VALUE",
    "run sede=1": "sede is unknown; settings: rule, signal, scheduler, env, agent, optimizer, eval, logger",
    "run +sede=1": "sede is unknown; known: rule",
    "run rule.gain=much": "rule.gain must be a number, got 'much'",
    "run rule.gain=1.5": "rule.gain must be in (0, 1), got 1.5",
    "run rule=variance rule.window=0": "rule.window must be a whole number of at least 1, got 0",
    "run optimizer.lr=-1": "optimizer.lr must be above 0, got -1",
    "run optimizer=sgdd": "optimizer 'sgdd' is unknown",
    "run env=gausian": "environment 'gausian' is unknown; known environments: bernoulli, contextual, drifting",
    "run env.arms=1": "env.arms must be a whole number of at least 2, got 1",
    "run env.arms=2.5": "env.arms must be a whole number, got 2.5",
    "run steps=0": "steps must be a whole number of at least 1, got 0",
    "run steps=ten": "steps must be a whole number, got 'ten'",
    "run ~steps": "steps is missing: give it a value, as in steps=2000",
    "run steps=null": "steps must have a value, got null",
    "run seed=-1": "seed must be a whole number of at least 0, got -1",
    "run signal.normalize=standardise": "signal.normalize must be one of center, standardize, or null, got 'stand",
    "run signal.ema_reward_beta=1": "signal.ema_reward_beta must be in [0, 1), or null, got 1.0",
    "run logger.video=true": "logger.video must be false here: this environment cannot be rendered",
    "run logger.video=sometimes": "logger.video must be true or false, got 'sometimes'",
    "run -m rule=none,kelly logger.video=false,true": "logger.video must be false here",
    "run logger.log_every=0": "logger.log_every must be at least 1 step, got 0",
    "run scheduler.min_lr=1 scheduler.max_lr=0.1": "scheduler.min_lr must be below max_lr=0.1, got 1.0",
    "run scheduler.min_lr=1": "optimizer.lr must be in its bounds [1.0, 10.0], got 0.1",
    "run scheduler.adapt_momentum=true": "scheduler.adapt_momentum needs an optimizer with momentum",
    "run optimizer.nesterov=true": "Nesterov momentum requires a momentum",
    "run agent.baseline=false agent.baseline_step_size=0.1": "agent.baseline_step_size goes with agent.baseline=true",
    "run --cfg job -m": "--cfg and --multirun exclude one another",
    "run --resolve": "--resolve goes with --cfg only",
    "run --cfg jbo": "invalid choice: 'jbo'",
    "run --config-dir nowhere": "--config-dir nowhere is no folder",
    "run --config-name other": "other",
    "run rule=kelly,trend": "rule has several values: add -m to run them all",
    "run seed=range(0,3)": "seed has several values: add -m",
    "run rule=[": "'rule=[' is not readable as an override",
    "run hydra/launcher=stackd": "hydra/launcher 'stackd' is unknown; known hydra/launchers:",
    "run hydra.run.dir=file/inside": "the output folder file/inside cannot be made",
    "run -m rule=kelly,trnd": "rule 'trnd' is unknown",
    "run -m seed=0,1 steps=0": "job 0 (seed=0 steps=0): steps must be a whole number of at least 1, got 0",
    "run -m rule.gain=0.1,1.5": "job 1 (rule.gain=1.5): rule.gain must be in (0, 1), got 1.5",
    "run -m rule=kelly,trend rule.gain=0.1": "rule.gain is unknown; settings of rule=trend: up, down",
    "run -m optimizer.nesterov=true": "Nesterov momentum requires a momentum",
    "run -m seed=0,1 hydra.sweep.subdir=same": "several jobs would write to one folder",
    "run -m seed=0,1 hydra.sweep.dir=file/inside": "the output folder file/inside cannot be made",
    "run -m rule.gain=0.1,1.5 hydra/launcher=basic": "job 1 (rule.gain=1.5): rule.gain must be in (0, 1), got 1.5",
    "list rulez": "'rulez' is no group; known: rules, signals, schedulers, envs, agents, optimizers, evals,",
    "board nowhere": "there is no folder nowhere here",
    "plot nowhere": "there is no folder nowhere",
    "plot .": "holds no run",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_words_are_one_sentence_and_exit_2(rasched: Callable[..., Any], here: Path, line: str) -> None:
    (here / "file").write_text("not a folder")
    said = rasched(*line.split())
    assert said.code == 2, said
    assert said.out == ""
    (sentence,) = said.err.splitlines()
    assert sentence.startswith("rasched: ")
    assert WRONG[line] in sentence
    assert [path.name for path in here.rglob("*")] == ["file"]


def test_an_internal_error_exits_1_and_says_what_to_do(
    rasched: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("rasched.cli.list.print_list", broken)
    said = rasched("list")
    assert said.code == 1
    assert "internal error" in said.err and "--debug" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in rasched("--debug", "list").err


def test_an_unknown_command_exits_2(rasched: Callable[..., Any]) -> None:
    assert rasched("rnu").code == 2
    assert rasched("list", "--jsno").code == 2
