"""An import points down, never up or sideways, and importing the package is cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rasched

ROOT = Path(rasched.__file__).parent
# From top to bottom. Packages in one row do not import each other.
LAYERS = [
    {"cli", "_top_level"},
    {"runner"},
    {"analysis", "compose"},
    {"records"},
    {"integrations", "train"},
    {"scheduler"},
    {"rules", "envs", "agents"},
    {"registry", "stacking"},
    {"validation", "numerics", "memory", "rng", "errors"},
]
DEPTH = {package: depth for depth, layer in enumerate(LAYERS) for package in layer}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def imported_packages(tree: ast.AST) -> Iterator[str]:
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
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for other in imported_packages(ast.parse(path.read_text())):
        if package == "_top_level" and other in rasched.__all__:
            continue  # modules that a wheel installs at the top of site-packages import the public names
        assert other == package or DEPTH[other] > DEPTH[package], f"{package} imports {other}"


def test_every_folder_and_module_has_a_layer() -> None:
    names = {path.name.removesuffix(".py") for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__", "py.typed", "conf", "experiments"} == set(DEPTH)


def module_graph() -> dict[str, set[str]]:
    """Return the imports at the top of each module, functions and type checks left out."""
    modules = {".".join(("rasched", *path.relative_to(ROOT).with_suffix("").parts)): path for path in FILES}
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = {module for module in found if module in modules and module != name}
    return graph


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph, done = module_graph(), set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle of imports: {' -> '.join((*path, name))}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


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
