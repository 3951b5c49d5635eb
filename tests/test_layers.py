"""The house: an import points down, never up or sideways; and the front door is light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rasched

ROOT = Path(rasched.__file__).parent
ROWS = [
    {"cli", "beside"},  # beside: modules that a wheel installs next to the package
    {"report", "runner", "bench"},
    {"train", "integrations"},  # an adapter names the scheduler that it adapts
    {"scheduler", "envs", "agents"},
    {"group_rates", "saved_state"},  # the scheduler's hold on an optimizer, and what it saves
    {
        "rules",
        "signal",
        "rates",
        "groups",
        "rewards",
        "ranks",
    },  # the last three: one optimizer's group, one reward, one exchange
    {"stacking"},  # one text for one run or for many: what rules and signal are made of
    {"reals", "results", "registry", "streams"},
]
DEPTH = {room: depth for depth, row in enumerate(ROWS) for room in row}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def imported_rooms(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where they point"
            names = (
                [node.module or ""] if node.module != "rasched" else [f"rasched.{alias.name}" for alias in node.names]
            )
        yield from (name.split(".")[1] for name in names if name.startswith("rasched."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_import_points_down(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for other in imported_rooms(ast.parse(path.read_text())):
        if room == "beside" and other in rasched.__all__:
            continue  # the front door is for what stands outside the house
        assert other == room or DEPTH[other] > DEPTH[room], f"{room} imports {other}"


def test_the_front_door_is_light() -> None:
    heavy = (
        "transformers",
        "gymnasium",
        "hydra",
        "tensorboard",
        "torch._dynamo",
        "lightning",
        "polars",
        "matplotlib",
        "typer",
    )
    code = f"import sys, rasched; rasched.RewardAdaptiveScheduler; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
