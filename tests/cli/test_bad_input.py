"""Wrong words: one sentence, the way out, exit code 2, no traceback, and nothing written."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_subprocess import environment

WRONG = {
    "run rule=kely": "(did you mean 'kelly'?)",
    "run rule.gian=0.3": "rule.gian is unknown; settings of rule=kelly: gain, temp (did you mean 'gain'?)",
    "run +rule.gian=0.3": "has no setting 'gian'; its settings: gain, temp (did you mean 'gain'?)",
    "run rul.gain=0.3": "rul.gain is unknown: there is no 'rul'; known: agent, control, env, eval, logger, optimizer",
    "run env=gym env.kwargs={g:9.8}": "env.kwargs takes new entries one by one: +env.kwargs.NAME=VALUE",
    "run sede=1": "sede is unknown; settings: rule, signal, scheduler, env, agent, optimizer, eval, logger",
    "run +sede=1": "sede is unknown; known: rule",
    "run rule.gain=much": "rule.gain must be a number, got 'much'",
    "run rule.gain=1.5": "rule.gain must be in (0, 1), got 1.5",
    "run rule=variance rule.window=0": "rule.window must be a whole number of at least 1, got 0",
    "run agent.hidden=3.0 env=contextual": "agent.hidden must be a list of whole numbers, got 3.0",
    "run agent.hidden=true env=contextual": "agent.hidden must be a list of whole numbers, got true",
    "run agent.hidden=null env=contextual": "agent.hidden must be a list of whole numbers, got null",
    "run zoo=ppo_cartpole": "optimizer, eval, logger, steps, seed, control (did you mean preset=ppo_cartpole?)",
    "run zoo=": "zoo is unknown; settings: rule, signal",
    "run preset=kelly": "preset 'kelly' is unknown; known presets: a2c_cartpole",
    "run rule=-1": "rule=-1 must name a file of the group rule; known: bandit, ",
    "run hydra/sweeper=null": "hydra/sweeper=null must name a file of the group hydra/sweeper; known: basic",
    "run -m seed=0,1 hydra.launcher=null": "hydra.launcher must be a launcher, as hydra/launcher=basic makes it",
    "run -m seed=0,1 hydra.launcher._target_=os.system": "hydra/launcher=basic makes it, got os.system",
    "run -m seed=0,1 hydra.sweeper._target_=os.system": "hydra/sweeper=basic makes it, got os.system",
    "run signal=[64,64] --config-dir .": "signal=[64,64] must name a file of the group signal",
    "run logger.log_every=9223372036854775808": "logger.log_every must be auto, or a whole number in [1, 1000",
    "run steps=99999999999999999999": "steps must be at most 1,000,000,000,000,000, got 99999999999999999999",
    "run env.arms=1e308": "env.arms must be a whole number in [2, 1000000], got 1000",
    "run env.num_envs=1000000000": "env.num_envs must be a whole number in [1, 1000000], got 1000000000",
    "run agent=a2c env.frame_stack=1000000000": "env.frame_stack must be a whole number in [1, 1000], got 1000000000",
    "run agent=ppo agent.n_steps=100000000000000": "agent.n_steps times env.num_envs needs about",
    "run agent=ppo agent.hidden=[1e8,1e8]": "agent.hidden needs about 480 PB of memory, and this machine has",
    "run agent=dqn agent.buffer_size=1e15": "agent.buffer_size needs about",
    "run agent=dqn agent.batch_size=1e12": "agent.batch_size times agent.gradient_steps needs about",
    "run env=contextual env.features=1e12": "env.features times env.arms times env.num_envs needs about",
    "run env.arms=1000000 env.num_envs=1000000": "env.arms times env.num_envs needs about 48 TB of memory",
    "run agent=ppo env.num_envs=1000000 env.frame_stack=1000": "needs about",
    "run agent=ppo eval.every=10 eval.episodes=1e12": "eval.episodes must be a whole number in [1, 1000000]",
    "run rule@x=kelly": "Could not override 'rule@x'",
    "kelly": "there is no command 'kelly'; to train with it: rasched run rule=kelly",
    "rule=kelly": "there is no command 'rule=kelly'; to train with it: rasched run rule=kelly",
    "rnu": "there is no command 'rnu'; known commands:",
    "run kelly": "'kelly' is not readable as an override; write rule=kelly",
    "run --rule kelly": "--rule is no flag: settings are written without dashes, as in rule=kelly",
    "run --rule=kelly": "--rule=kelly is no flag: settings are written without dashes, as in rule=kelly",
    "run rule: kelly": "rule: kelly is no override: write rule=kelly",
    "run rule:": "'rule:' is not readable as an override; write rule=NAME",
    "run rule:kelly": "'rule:kelly' is not readable as an override; write rule=kelly",
    "run steps:": "'steps:' is not readable as an override; write steps=NUMBER",
    "lr=0.1": "there is no command 'lr=0.1'; to train with it: rasched run optimizer.lr=0.1",
    "gain=0.1": "there is no command 'gain=0.1'; to train with it: rasched run rule.gain=0.1",
    "steps=1e5": "there is no command 'steps=1e5'; to train with it: rasched run steps=1e5",
    "help rnu": "there is no command 'rnu'; known commands: bench,",
    "run lr=0.1": "(did you mean optimizer.lr?)",
    "run env=CartPole-v1": "a Gymnasium id is written env=gym env.id=CartPole-v1",
    "run env=ALE/Pong-v5": "a Gymnasium id is written env=gym env.id=ALE/Pong-v5",
    "run env.id=CartPole-v1": "; env=gym has it: add env=gym",
    "run agent=sac": "agent 'sac' is unknown; known agents: a2c, dqn, ppo, reinforce",
    "run optimizer=lion": "optimizer 'lion' is unknown; known optimizers: adadelta, adafactor, adagrad",
    "run seeds=3": "seed has several values: add -m to run them all, or write rasched sweep",
    "run seed=0..2": "seed has several values: add -m to run them all, or write rasched sweep",
    "run -m seeds=three": "seeds must be a number of seeds, as in seeds=3 for the seeds 0, 1 and 2, got 'three'",
    "run -m seed=2..0": "seed=2..0 must count upwards",
    "run -m optimizer.lr=logspace(0,1,3)": "must be logspace(first, last, number of values)",
    "run -m seed=0,1 hydra.sweep.subdir=../${hydra.job.num}": "must name a folder inside the sweep's, got '../0'",
    "run optimizer.lr=-1": "optimizer.lr must be above 0, got -1",
    "run optimizer=sgdd": "optimizer 'sgdd' is unknown",
    "run env=gausian": "environment 'gausian' is unknown; known environments: bernoulli, contextual, drifting",
    "run env.arms=1": "env.arms must be a whole number in [2, 1000000], got 1",
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
    "run logger.log_every=0": "logger.log_every must be auto, or a whole number in [1, 1000",
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
    "sweep control=true seeds=2": "control=true is for a single run; a sweep has a control if one of its rules is none",
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


def test_an_unknown_option_exits_2(rasched: Callable[..., Any]) -> None:
    assert rasched("list", "--jsno").code == 2


def test_control_characters_of_a_name_are_printed_escaped(rasched: Callable[..., Any]) -> None:
    result = rasched("resume", "\x1b[31mred\n")
    assert result.code == 2
    assert (
        result.err
        == "rasched: there is no folder \\x1b[31mred\\n; name that of a sweep or a run: rasched resume FOLDER\n"
    )


def test_a_preset_needs_no_plus(rasched: Callable[..., Any]) -> None:
    with_plus, without = (rasched("run", "--cfg", "job", f"{plus}preset=ppo_cartpole").out for plus in ("+", ""))
    assert with_plus == without and "CartPole-v1" in without


def test_a_full_disk_is_one_sentence_and_exit_3(rasched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/sweep.json")

    monkeypatch.setattr("rasched.cli.list.print_list", full)
    result = rasched("list")
    assert result.code == 3
    assert result.err == "rasched: out/sweep.json cannot be written: No space left on device; make room there\n"


def test_no_arguments_are_good_arguments() -> None:
    from rasched.cli.hydra_args import parse_args

    assert parse_args([]).overrides == []


@pytest.mark.parametrize("words", [["-h"], ["help"], ["--help"]])
def test_every_way_to_ask_for_help_lists_the_commands(rasched: Callable[..., Any], words: list[str]) -> None:
    result = rasched(*words)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Usage: rasched [OPTIONS] COMMAND [ARGS]...") and "resume" in result.out


@pytest.mark.parametrize("command", ["run", "sweep", "list", "help"])
def test_every_way_to_ask_for_a_commands_help_says_the_same(rasched: Callable[..., Any], command: str) -> None:
    said = {rasched(*words).out for words in (["help", command], [command, "-h"], [command, "--help"])}
    assert len(said) == 1 and said.pop().startswith(f"Usage: rasched {command} [OPTIONS]")


@pytest.mark.parametrize("line", ["list", "list --json", "--help", "sweep --dry-run seeds=100"])
def test_a_closed_pipe_ends_a_command_at_once_and_silently(line: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rasched.cli", *line.split()]
    with subprocess.Popen(
        command, env=environment(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
