"""Run many random programs of scheduler calls against the model of the contract, until one differs.

    python tests/long/random_programs.py --programs 10000 --seed 0

The short form runs with the suite (`tests/scheduler/test_programs.py`). Prints the smallest program that differs, and
exits 1 if there is one.
"""

import argparse
import sys
import time
from pathlib import Path

import hypothesis
import torch
from hypothesis.stateful import run_state_machine_as_test

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "scheduler"), str(TESTS.parent)]

from test_programs import SchedulerPrograms  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = hypothesis.settings(
        max_examples=arguments.programs,
        stateful_step_count=25,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    start = time.monotonic()
    run_state_machine_as_test(hypothesis.seed(arguments.seed)(SchedulerPrograms), settings=settings)
    print(f"{arguments.programs} programs without a difference, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
