"""The private names of Hydra and OmegaConf that rasched uses exist, and stand in one module."""

import re
from pathlib import Path

import pytest
from hydra.plugins.completion_plugin import DefaultCompletionPlugin
from omegaconf import OmegaConf

import rasched
from rasched.compose import hydra_compat
from rasched.compose.composer import Composer

PRIVATE = re.compile(
    r"hydra\._internal|omegaconf\._|_apply_overrides_to_config|\._value\b|\._query\(|\._get_node\(|\._content\b|"
    r"\._get_flag\(|\._is_none\(|\._is_missing\("
)
FILES = sorted(Path(rasched.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_other_module_uses_a_private_name(path: Path) -> None:
    uses = [line for line in path.read_text().splitlines() if PRIVATE.search(line)]
    own = [line for line in uses if re.search(r"(?<![\w.])self\._value\b|self\._values\b", line)]
    assert path.name == "hydra_compat.py" or uses == own


def test_every_private_name_works() -> None:
    composer = Composer.open()  # make_search_path, make_config_loader
    config = composer.compose(["hydra.mode=MULTIRUN"])
    assert config.hydra.sweeper._target_ == hydra_compat.BASIC_SWEEPER
    assert callable(hydra_compat.make_hydra(composer.loader).multirun)
    assert callable(hydra_compat.make_callbacks(config).on_job_start)
    assert hydra_compat.make_args_parser().parse_args(["-m", "seed=1"]).multirun
    parsed = composer.parse(["rule=glob(*)", "seed=1,2", "steps=3"])
    assert [hydra_compat.is_glob(override) for override in parsed] == [True, False, False]
    assert hydra_compat.split_sweep(parsed[1:]) == [["seed=1", "steps=3"], ["seed=2", "steps=3"]]
    assert hydra_compat.override_dirname(parsed[2:], [], ",", "=") == "steps=3"
    values = OmegaConf.create({"a": {"b": 1}})
    hydra_compat.apply_overrides(composer.parse(["a.b=2"]), values)
    assert values.a.b == 2
    node = hydra_compat.find_node(values, ["a", "b"])
    assert node is not None and not hydra_compat.is_read_only(node)
    assert hydra_compat.find_node(values, ["a", "c"]) is None
    OmegaConf.set_readonly(values, True)
    assert hydra_compat.is_read_only(node)
    assert "rule=kelly" in hydra_compat.complete_config(DefaultCompletionPlugin(composer.loader), "rule=k")
    assert callable(hydra_compat.yaml_string_representer())
