"""Print a constraints file of the lowest versions that pyproject.toml allows.

python tests/lowest_versions.py [EXTRA...] > lowest.txt
pip install -c lowest.txt -e '.[test]'

Requirements of the named extras are added to those of the package. A requirement without a lower bound is an error,
because then nobody knows what it allows.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def requirements(extras: Iterable[str]) -> Iterator[str]:
    """Return the requirements of the package and of the extras; an extra may name further extras of the package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [*project["dependencies"], *(f"rasched[{extra}]" for extra in extras)]
    while waiting:
        requirement = waiting.pop(0)
        if match := re.match(r"rasched\[([\w,-]+)\]", requirement):
            waiting += [r for extra in match[1].split(",") for r in project["optional-dependencies"][extra]]
        else:
            yield requirement


def lowest(requirement: str) -> tuple[str, str]:
    """Return name and lowest version of a requirement such as ``gymnasium[box2d]>=1.0``."""
    match = re.match(r"([\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*([\w.]+)", requirement)
    if match is None:
        raise SystemExit(f"{requirement!r} in pyproject.toml has no lower bound: write it as NAME>=VERSION")
    return match[1], match[2]


def main() -> None:
    """Print one line per package."""
    versions: dict[str, str] = {}
    for requirement in requirements(["test", *sys.argv[1:]]):
        name, version = lowest(requirement)
        if versions.setdefault(name, version) != version:
            raise SystemExit(f"{name} has two lower bounds, {versions[name]} and {version}: make them equal")
    print("\n".join(f"{name}=={version}" for name, version in sorted(versions.items())))


if __name__ == "__main__":
    main()
