"""Imported once by the process from which workers are forked: all that they need, ready in each of them at once."""

import atexit
import os

from rasched.runner.startup import import_torch

import_torch()

from rasched.runner import execute, tiles  # noqa: E402, F401

# It has nothing to clean up, and whoever reads our output to its end waits for this process too.
atexit.register(os._exit, 0)
