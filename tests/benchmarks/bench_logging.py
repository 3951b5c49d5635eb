"""What the records of a single run cost: the loop with them beside the loop without, in turns within one process.

`python tests/benchmarks/bench_logging.py` prints CPU time over 10,000 steps of the default run, imports left out.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings
from rasched.records.recorder import Recorder
from tests.run_factories import train_runs

STEPS = 10_000
ROUNDS = 5


def seconds(recorded: bool) -> float:
    job = JobComposer(Composer.open(None, None, None), []).compose([f"steps={STEPS}"], 0)
    run = run_settings(job.config)
    start = time.process_time()
    if recorded:
        with tempfile.TemporaryDirectory() as folder, Recorder([folder], steps=STEPS) as recorder:
            train_runs([run], recorder.record)
    else:
        train_runs([run], lambda step, columns: None)
    return time.process_time() - start


def main() -> None:
    seconds(True), seconds(False)
    pairs = [(seconds(True), seconds(False)) for _ in range(ROUNDS)]
    cost = statistics.median(recorded / bare - 1 for recorded, bare in pairs)
    step = statistics.median(bare for _, bare in pairs) / STEPS
    print(f"a step of the loop {step * 1e6:.0f} us; records add {cost:.1%} (median of {ROUNDS} pairs)")


if __name__ == "__main__":
    main()
