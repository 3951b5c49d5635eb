"""Marks of the integration tests, and a path to their own modules."""

import sys
from pathlib import Path

import pytest

# Spawned ranks unpickle their function by module name, so these modules must be importable there as well as here.
sys.path.insert(0, str(Path(__file__).parent))

MARKS = ("huggingface", "trl", "accelerate", "lightning", "sb3", "skrl", "torchrl", "compile", "distributed")


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: needs the framework of that name (skipped without it)")
