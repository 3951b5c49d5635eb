"""The README is run as it stands: its Python blocks in their order, and what it says of the package is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from rasched.rules import RULES
from rasched.validation import defaults

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def surroundings(folder: Path) -> dict[str, Any]:
    """What the README takes for granted: a model, data, a reward, a writer."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)

    def compute_loss_and_reward(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss = (model(batch) - 1).square().mean()
        return loss, -loss.detach()

    return {
        "model": model,
        "dataloader": torch.randn(5, 8, 3),
        "compute_loss_and_reward": compute_loss_and_reward,
        "writer": SummaryWriter(str(folder)),
        "step": 5,
        "torch": torch,
    }


def test_every_block_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = surroundings(tmp_path)
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), names)
    names["writer"].close()
    assert names["scheduler"].state_dict()["rule"] == "countgood"
    assert (tmp_path / "state.pt").exists()


def test_the_quick_start_moves_the_rate(tmp_path: Path) -> None:
    names = surroundings(tmp_path)
    exec(compile(BLOCKS[0], str(README), "exec"), names)
    names["writer"].close()
    assert names["scheduler"].num_observed == 5
    assert 1e-6 <= names["scheduler"].get_last_lr()[0] < 5e-5


def test_the_table_of_rules_names_every_rule_and_default() -> None:
    text = README.read_text()
    for name in ("kelly", "none", "scaling", "trend", "variance"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        for setting, value in defaults(RULES.get(name)).items():
            assert f"`{name}_{setting}`" in row and re.search(rf"= {value:g}\b", row), (name, setting)


def test_every_picture_and_page_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#]+)\)", README.read_text())
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert not missing
