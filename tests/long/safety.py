"""Show that nothing is lost and nothing is silently wrong, whatever stops a command or damages its files.

    python tests/long/safety.py kills --times 200
    python tests/long/safety.py file_operations
    python tests/long/safety.py damages --times 1000
    python tests/long/safety.py ppo_sweep
    python tests/long/safety.py cost

The short forms run with the suite (`tests/safety/`). See `tests/long/random_programs.py` for random programs of
scheduler calls, and `tests/cli/test_random_lines.py` for random command lines.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path

TESTS = Path(__file__).parents[1]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from safety import checkpoints, commands, file_operations, kills  # noqa: E402
from safety.damages import KINDS, Damages  # noqa: E402


def exit_if(num_wrong: int) -> None:
    """End with exit code 1 if anything was wrong."""
    if num_wrong:
        sys.exit(1)


def run_kills(options: argparse.Namespace, root: Path) -> None:
    """Kill each case in turn, by each signal in turn."""
    moments, num_differences, all_kills = random.Random(options.seed), 0, []
    cases = [case for case in kills.CASES if options.only in case]
    for index, case in enumerate(cases):
        whole, seconds = kills.undisturbed(root, case)
        for turn in range(options.times // len(cases) + (index < options.times % len(cases))):
            number = kills.SIGNALS[(index + turn) % 3]
            kill, records = kills.kill_and_resume(root, case, number, seconds, moments)
            if difference := whole.difference(records):
                num_differences += 1
                print(f"DIFFERENCE {case}, signal {number}: {difference}", flush=True)
            all_kills.append(kill)
        of_case = [kill for kill in all_kills if kill.case == case]
        print(
            f"{case}: {len(of_case)} signals within {seconds:.1f} s, {sum(k.is_begun for k in of_case)} after the first"
            f" record; at most {max(k.num_steps_lost for k in of_case)} steps lost of {kills.EVERY} between"
            f" checkpoints; workers left for at most {max(k.others_alive for k in of_case):.2f} s",
            flush=True,
        )
    names = Counter(kill.number.name for kill in all_kills)  # type: ignore[attr-defined]
    num_kills = sum(kill.num_kills for kill in all_kills)
    print(f"{num_kills} signals ({dict(names)}, and SIGKILL to some resumes), {num_differences} differences")
    exit_if(num_differences)


def run_file_operations(options: argparse.Namespace, root: Path) -> None:
    """Let each operation fail, once and from then on; with few ``--times``, some of them."""
    num_wrong, codes = 0, Counter[int]()
    for case in file_operations.CASES:
        whole, operations = file_operations.undisturbed(root, case)
        every = max(1, 4 * len(operations) // options.times)
        numbers = range(1 + options.seed % every, len(operations) + 1, every)
        for fail_at, forever in product(numbers, (False, True)):
            outcome, wrong = file_operations.fail_and_resume(root, case, fail_at, forever, whole)
            codes[outcome.code] += 1
            if wrong:
                num_wrong += 1
                how = f"{operations[fail_at - 1]} {'for ever' if forever else 'once'}"
                print(f"WRONG {case}, operation {fail_at} ({how}): {wrong}; {outcome}", flush=True)
        print(f"{case}: {len(operations)} operations, {2 * len(numbers)} failures", flush=True)
    print(f"exit codes {dict(codes)}; {num_wrong} wrong")
    exit_if(num_wrong)


def run_damages(options: argparse.Namespace, root: Path) -> None:
    """Damage files of each kind."""
    damages, num_wrong = Damages(root), 0
    for kind in KINDS:
        if options.only not in kind:
            continue
        rng, wrong = random.Random(f"{options.seed} {kind}"), 0
        for _ in range(options.times):
            damage = damages.choose(kind, rng)
            if problem := damages.apply(damage):
                wrong += 1
                print(f"WRONG {damage.folder}/{damage.path} {damage.how}: {problem}", flush=True)
        num_wrong += wrong
        print(f"{kind}: {options.times} damages, {wrong} wrong", flush=True)
    exit_if(num_wrong)


def run_ppo_sweep(options: argparse.Namespace, root: Path) -> None:
    """Kill a sweep of 200 PPO runs at half time."""
    result = checkpoints.kill_at_half_time(root)
    print(
        f"undisturbed {result.whole:.0f} s; killed at half time {result.lost:.1f} s after its last checkpoint, of 5 s"
        f" between two; both commands {result.both:.0f} s; difference: {result.difference or 'none'}"
    )
    exit_if(bool(result.difference))


def run_cost(options: argparse.Namespace, root: Path) -> None:
    """Time the checkpoints of large batches."""
    for name in checkpoints.BATCHES:
        cost = checkpoints.measure(root, name)
        saves = ", ".join(f"{seconds:.3f}" for seconds in cost.saves)
        print(
            f"{name}: {cost.total:.1f} s, of which saves {saves} s and copies {cost.others:.3f} s;"
            f" with a checkpoint per minute {cost.fraction():.2%} of the training time",
            flush=True,
        )


def run_short(options: argparse.Namespace, root: Path) -> None:
    """Run some of each, for the test suite."""
    for name, times, only in (("kills", 3, "bandit sweep"), ("file_operations", 6, ""), ("damages", 2, "")):
        (root / name).mkdir()
        RUN[name](argparse.Namespace(seed=options.seed, times=times, only=only), root / name)


RUN = {
    "kills": run_kills,
    "file_operations": run_file_operations,
    "damages": run_damages,
    "ppo_sweep": run_ppo_sweep,
    "cost": run_cost,
    "short": run_short,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=RUN)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases that contain this text")
    options = parser.parse_args()
    commands.import_everything()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        RUN[options.what](options, Path(folder))
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
