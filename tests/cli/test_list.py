"""``rasched list`` prints every choice of every group, from the code and conf/."""

from collections.abc import Callable
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest

from rasched.agents import AGENTS
from rasched.compose.schema import conf_dir
from rasched.envs import ENVS
from rasched.rules import RULES
from rasched.validation import defaults


@pytest.mark.parametrize(("group", "registry"), [("rules", RULES), ("envs", ENVS), ("agents", AGENTS)])
def test_a_group_lists_all_its_names_with_their_defaults(
    rasched: Callable[..., Any], group: str, registry: Any
) -> None:
    choices = {entry["name"]: entry for entry in rasched("list", group, "--json").json[group]}
    assert sorted(choices) == registry.names()
    for name, entry in choices.items():
        listed = {key: tuple(v) if isinstance(v, list) else v for key, v in entry["settings"].items()}
        code = defaults(registry.get(name))
        assert listed == {key: listed[key] if value is MISSING else value for key, value in code.items()}
        assert entry["summary"]


def test_every_group_of_the_configuration_is_listed_with_every_file(rasched: Callable[..., Any]) -> None:
    listed = rasched("list", "--json").json
    folders = [path for path in conf_dir().iterdir() if path.is_dir() and path.name != "hydra"]
    assert sorted(listed) == sorted(f"{folder.name}s" for folder in folders)
    for folder in folders:
        names = {entry["name"] for entry in listed[f"{folder.name}s"]}
        assert names >= {path.stem for path in folder.glob("*.yaml")}


@pytest.mark.parametrize("name", ["rule", "signal", "scheduler", "eval", "logger", "preset"])
def test_the_name_that_one_types_before_the_equals_sign_is_a_group_too(rasched: Callable[..., Any], name: str) -> None:
    assert list(rasched("list", name, "--json").json) == [f"{name}s"]


def test_the_limits_of_a_setting_are_those_that_the_check_enforces(rasched: Callable[..., Any], here: Path) -> None:
    (kelly,) = (entry for entry in rasched("list", "rules", "--json").json["rules"] if entry["name"] == "kelly")
    assert kelly["limits"]["gain"] == "in (0, 1)"
    assert "in (0, 1)" in rasched("run", "rule.gain=1").err


def test_optimizers_come_with_their_rates(rasched: Callable[..., Any]) -> None:
    optimizers = {
        entry["name"]: entry["settings"] for entry in rasched("list", "optimizers", "--json").json["optimizers"]
    }
    assert optimizers["sgd"]["lr"] == 0.1
    assert {"adam", "adamw", "rmsprop"} <= optimizers.keys()


def test_settings_are_printed_as_they_are_typed(rasched: Callable[..., Any]) -> None:
    result = rasched("list")
    assert result.code == 0
    for text in (
        "rules (rule=NAME rule.SETTING=VALUE)",
        "gain=0.2",
        "in (0, 1)",
        "betas=[0.9,0.999]",
        "nesterov=false",
        "hidden=[32]",
        "presets (+preset=NAME)",
        "ema_reward_beta=0.9",
    ):
        assert text in result.out
