"""Imported once by the process from which workers are forked: all that they need, ready in each of them at once."""

from rasched.runner.startup import import_torch

import_torch()

from rasched.runner import execute  # noqa: E402, F401
