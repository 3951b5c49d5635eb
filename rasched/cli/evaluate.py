"""``rasched eval``: play the policy of a run on fresh seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasched.cli.errors import print_damaged
from rasched.cli.output import print_json, relative_path
from rasched.errors import UsageError

if TYPE_CHECKING:
    from rasched.analysis.run_folder import Run
    from rasched.train.policy import Policy

VIDEO = "eval.gif"


def evaluate(folder: str, episodes: int, seed: int, video: bool, trust: bool, as_json: bool) -> int:
    """Print the mean return of a run's policy, or that of a sweep's best run; return the exit code."""
    from rasched.runner.process_setup import import_torch

    import_torch()
    from rasched.analysis.load import read_results
    from rasched.train.loop import one_thread

    results = read_results([folder])
    run = results.best()
    with one_thread():
        policy = run.policy(trust)
        try:
            entries = _summarize(run, policy, episodes, seed)
        except ValueError as error:
            raise UsageError(str(error)) from error
        if video:
            entries["video"] = str(_record(run, policy, seed))
    if as_json:
        print_json(entries)
    else:
        _print(run, entries)
    return print_damaged(results.damaged)


def _summarize(run: Run, policy: Policy, episodes: int, seed: int) -> dict[str, Any]:
    from rasched.analysis.statistics import bootstrap_ci

    returns = policy.play(episodes, seed)
    low, high = bootstrap_ci(returns, "mean")
    return {
        "folder": str(run.folder.absolute()),
        "episodes": episodes,
        "seed": seed,
        "mean": float(returns.mean()),
        "low": low,
        "high": high,
        "lowest": float(returns.min()),
        "highest": float(returns.max()),
        "is_bandit": policy.is_bandit,
        "returns": returns.tolist(),
    }


def _record(run: Run, policy: Policy, seed: int) -> Path:
    from rasched.records.files import write_file

    path = run.folder / VIDEO
    try:
        write_file(path, policy.record(seed).gif)
    except ValueError as error:
        raise UsageError(f"--video: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): copy the run's folder first") from error
    return path


def _print(run: Run, entries: dict[str, Any]) -> None:
    from rasched.records.primary_score import PRIMARY_SCORES

    unit, plays = ("reward", "pulls") if entries["is_bandit"] else ("return", "episodes")
    print(f"{relative_path(run.folder)}: {' '.join(run.overrides) or 'defaults'}")
    interval = f", 95 % interval {entries['low']:.4g} to {entries['high']:.4g}" if entries["episodes"] > 1 else ""
    print(
        f"mean {unit} {entries['mean']:.4g} over {entries['episodes']:,} {plays} with fresh random numbers{interval}; "
        f"lowest {entries['lowest']:.4g}, highest {entries['highest']:.4g}"
    )
    name = next((name for name in PRIMARY_SCORES if name in run.scores), None)
    if name is not None:
        print(f"in training: {run.scores[name]:.4g}, the {PRIMARY_SCORES[name]}")
    if "video" in entries:
        print(f"video {relative_path(Path(entries['video']))}")
