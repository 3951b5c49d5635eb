"""One seed and one thread for every test, and a path to the test suite's modules."""

import sys
from pathlib import Path

import hypothesis
import torch

# With importlib mode nothing of tests/ is importable, and spawned ranks unpickle their function by module name.
sys.path.insert(0, str(Path(__file__).parent))

# derandomize: the same examples on every machine, so a red run can be repeated; no deadline: CI cores are shared.
hypothesis.settings.register_profile(
    "laws", derandomize=True, database=None, deadline=None, max_examples=25, print_blob=False
)
hypothesis.settings.load_profile("laws")

torch.set_num_threads(1)
