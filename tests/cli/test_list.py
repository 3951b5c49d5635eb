"""``rasched list``: everything that can be named, from the code and conf/."""

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

import pytest

from rasched.agents import AGENTS
from rasched.envs import ENVS
from rasched.rules import RULES
from rasched.validation import defaults


@pytest.mark.parametrize(("kind", "registry"), [("rules", RULES), ("envs", ENVS), ("agents", AGENTS)])
def test_a_kind_lists_all_its_names_with_their_defaults(rasched: Callable[..., Any], kind: str, registry: Any) -> None:
    found = {entry["name"]: entry for entry in rasched("list", kind, "--json").json[kind]}
    assert sorted(found) == registry.names()
    for name, entry in found.items():
        said = {key: tuple(v) if isinstance(v, list) else v for key, v in entry["settings"].items()}
        code = defaults(registry.get(name))
        assert said == {key: said[key] if value is MISSING else value for key, value in code.items()}
        assert entry["summary"]


def test_optimizers_come_with_their_rates(rasched: Callable[..., Any]) -> None:
    found = {entry["name"]: entry["settings"] for entry in rasched("list", "optimizers", "--json").json["optimizers"]}
    assert found["sgd"]["lr"] == 0.1
    assert {"adam", "adamw", "rmsprop"} <= found.keys()


def test_a_person_reads_settings_as_they_are_typed(rasched: Callable[..., Any]) -> None:
    said = rasched("list")
    assert said.code == 0
    for words in (
        "rules (rule=NAME rule.SETTING=VALUE)",
        "gain=0.2",
        "betas=[0.9,0.999]",
        "nesterov=false",
        "hidden=[32]",
    ):
        assert words in said.out
