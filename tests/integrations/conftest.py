"""A path to the integration tests' own modules: spawned ranks unpickle their function by module name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
