"""Every file of conf/ composes, and what it says arrives in the settings that a run is made of."""

import inspect
from dataclasses import MISSING, asdict, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from rasched.agents import AGENTS
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.schema import GROUPS, conf_dir
from rasched.compose.settings import logger_settings, run_settings
from rasched.envs import ENVS
from rasched.rules import RULES
from rasched.runner.run_spec import RunSpec, validate
from rasched.train.optimizers import PEER_OPTIMIZERS, optimizer_class
from rasched.validation import defaults

FILES = [(group, path.stem) for group in GROUPS for path in sorted((conf_dir() / group).glob("*.yaml"))]


@pytest.fixture(scope="module")
def jobs() -> JobComposer:
    return JobComposer(Composer.open(), [])


def _file(group: str, name: str) -> dict[str, Any]:
    said = yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text())
    bases = [base for base in said.pop("defaults", []) if isinstance(base, str) and base != "_self_"]
    below = {k: v for base in bases for k, v in _file(group, base).items()}
    return {**below, **said.get(group, said)}  # an agent that chooses its surroundings too speaks for the whole


def _skip_without_package(group: str, name: str) -> None:
    if group == "optimizer" and name in PEER_OPTIMIZERS:
        pytest.importorskip(PEER_OPTIMIZERS[name][0])


def _raw_rewards(group: str) -> list[str]:
    return ["signal=raw"] if group == "rule" else []  # some rules refuse a processed signal


def _arrived(group: str, settings: Any) -> dict[str, Any]:
    if group == "optimizer":
        return {"name": settings.name, "lr": settings.lr, **settings.options}
    name = {"name": settings.name} if group in ("rule", "env", "agent") else {}
    names = [f.name for f in fields(settings) if f.init]
    return name | {key: getattr(settings, key) for key in names}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(("group", "name"), FILES)
def test_each_value_of_a_group_file_arrives_in_the_settings(jobs: JobComposer, group: str, name: str) -> None:
    _skip_without_package(group, name)
    needed = ["agent=a2c"] if name == "evaluations" else []
    job = jobs.compose([*needed, *_raw_rewards(group), f"{group}={name}"], 0)
    settings = logger_settings(job.config) if group == "logger" else getattr(run_settings(job.config), group)
    arrived = {key: _plain(value) for key, value in _arrived(group, settings).items()}
    assert arrived == _file(group, name)


@pytest.mark.parametrize(("group", "name"), [(g, n) for g, n in FILES if g != "logger"])
def test_each_choice_of_a_group_can_be_trained(jobs: JobComposer, group: str, name: str) -> None:
    _skip_without_package(group, name)
    world = ["env=contextual", "eval.every=0", "signal=standardized"] if name in ("a2c", "ppo", "dqn") else []
    world = ["agent=a2c"] if name == "evaluations" else world  # evaluations are none of a bandit
    job = jobs.compose([*world, *_raw_rewards(group), f"{group}={name}"], 0)
    validate([RunSpec(job, Path(job.subdir))])


@pytest.mark.parametrize(("group", "registry"), [("rule", RULES), ("env", ENVS), ("agent", AGENTS)])
def test_files_and_code_name_the_same_choices_with_the_same_defaults(group: str, registry: Any) -> None:
    ours = [name for name in registry.names() if registry.get(name).__module__.startswith("rasched.")]
    assert [name for g, name in FILES if g == group] == ours
    for name in ours:
        said = {key: value for key, value in _file(group, name).items() if key != "name"}
        code = {key: _plain(value) for key, value in defaults(registry.get(name)).items()}
        assert said == {key: said[key] if value is MISSING else value for key, value in code.items()}


def test_an_optimizer_is_as_its_package_makes_it_but_for_the_rate(jobs: JobComposer) -> None:
    names = (name for group, name in FILES if group == "optimizer")
    for name in (name for name in names if name not in PEER_OPTIMIZERS or find_spec(PEER_OPTIMIZERS[name][0])):
        signature = inspect.signature(optimizer_class(name).__init__).parameters
        for key, value in _file("optimizer", name).items():
            if key not in ("name", "lr"):
                assert value == _plain(signature[key].default), (name, key)


def test_the_plain_command_is_kelly_on_the_gaussian_bandit_with_sgd(jobs: JobComposer) -> None:
    settings = run_settings(jobs.compose([], 0).config)
    assert (settings.rule.name, settings.env.name, settings.optimizer.name) == ("kelly", "gaussian", "sgd")


def test_settings_hold_nothing_of_hydra(jobs: JobComposer) -> None:
    settings = run_settings(jobs.compose([], 0).config)
    assert is_dataclass(settings)
    for value in asdict(settings).values():
        assert not type(value).__module__.startswith("omegaconf")
