"""The presets of conf/preset/ are the settings that Stable-Baselines3's curves were recorded with."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings

PARITY = Path(__file__).parents[2] / "experiments" / "parity"
ROWS: dict[str, Any] = json.loads((PARITY / "sb3.json").read_text())["rows"]


@pytest.mark.parametrize("row", ROWS)
def test_a_preset_is_a_row_of_the_comparison(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PARITY)
    recorder: Any = importlib.import_module("record_ours")
    job = JobComposer(Composer.open(), []).compose([f"+preset={row.replace('-', '_')}"], 0)
    preset, recorded = run_settings(job.config), recorder.run_of(ROWS[row], 0)
    for part in ("rule", "agent", "env", "eval", "steps"):
        assert getattr(preset, part) == getattr(recorded, part), part
    assert (preset.optimizer.name, preset.optimizer.lr) == (recorded.optimizer.name.lower(), recorded.optimizer.lr)
    for name, value in recorded.optimizer.options.items():
        assert torch.equal(torch.tensor(preset.optimizer.options[name]), torch.tensor(value)), name


def test_a_rule_of_ones_own_comes_before_the_presets() -> None:
    job = JobComposer(Composer.open(), []).compose(["+preset=ppo_cartpole", "rule=kelly", "steps=512"], 0)
    settings = run_settings(job.config)
    assert settings.rule.name == "kelly" and settings.steps == 512
    assert replace(settings, steps=100_000).agent == settings.agent
