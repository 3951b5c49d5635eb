"""``rasched ls``: the runs and sweeps of a folder, one line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rasched.analysis.run_folder import Run, check_folder, find_runs, printable
from rasched.analysis.variants import find_variants, label
from rasched.cli.errors import print_damaged
from rasched.cli.output import print_json, relative_path
from rasched.cli.plain_table import print_table
from rasched.errors import UsageError
from rasched.records.primary_score import primary_score

SORTS = ("name", "age", "score", "status")


@dataclass(frozen=True)
class Entry:
    """A line of the list: a run, or a sweep with its number of runs and the score and variant of its best one."""

    folder: str
    kind: str  # run or sweep
    status: str
    variant: str
    score: float | None
    started_at: str | None
    runs: int = 1


def ls(folder: str, sort: str, only_failed: bool, as_json: bool) -> int:
    """Print the list and return the exit code, 3 if a record could not be read."""
    if sort not in SORTS:
        raise UsageError(f"--sort {sort} is unknown; known: {', '.join(SORTS)}")
    damaged: list[str] = []
    root = check_folder(folder)
    runs = list(find_runs(root, damaged))
    if not runs and not damaged:
        raise UsageError(f"{folder} holds no run; `rasched run` makes one, under outputs/ by default")
    entries = [entry for entry in _entries(runs, root) if not only_failed or _has_failed(entry)]
    entries.sort(key=lambda entry: _order(entry, sort))
    if as_json:
        print_json([asdict(entry) for entry in entries])
    else:
        _print(entries, folder)
    return print_damaged(damaged)


def _entries(runs: Sequence[Run], root: Path) -> list[Entry]:
    """Return the sweeps of a folder and its single runs, or the runs if the folder is one sweep."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(str(run.sweep), []).append(run)
    entries = []
    for sweep, members in groups.items():
        variants = find_variants(members).of_runs
        name_of = {run.folder: label(dict(variant)) for run, variant in zip(members, variants, strict=True)}
        if sweep != str(root):
            entries.append(_sweep_entry(sweep, members, name_of))
        else:
            entries += [_run_entry(run, name_of) for run in members]
    return entries


def _run_entry(run: Run, name_of: Mapping[Path, str]) -> Entry:
    seed = "" if run.seed is None else f" seed={run.seed}"
    name = name_of[run.folder]
    variant = (" ".join(run.overrides) if name == "all runs" else name + seed) or "defaults"
    return Entry(printable(run.folder), "run", run.status, variant, primary_score(run.scores), run.started_at)


def _sweep_entry(folder: str, runs: Sequence[Run], name_of: Mapping[Path, str]) -> Entry:
    scored = [(score, run) for run in runs if (score := primary_score(run.scores)) is not None]
    best = max(scored, key=lambda pair: pair[0], default=None)
    counts = Counter(run.status for run in runs)
    status = "done" if counts["done"] == len(runs) else ", ".join(f"{n} {name}" for name, n in counts.items())
    started = min((run.started_at for run in runs if run.started_at), default=None)
    variant = "" if best is None else f"best: {name_of[best[1].folder]}"
    return Entry(printable(folder), "sweep", status, variant, best and best[0], started, len(runs))


def _has_failed(entry: Entry) -> bool:
    return "failed" in entry.status or "interrupted" in entry.status


def _order(entry: Entry, sort: str) -> tuple[object, ...]:
    if sort == "score":
        return entry.score is None, -(entry.score or 0.0)
    if sort == "age":
        return entry.started_at is None, entry.started_at or ""
    return (entry.status,) if sort == "status" else ()


def _print(entries: Sequence[Entry], folder: str) -> None:
    if not entries:
        print(f"{folder} holds no run that failed")
        return
    rows = [
        (
            _shown(entry.folder),
            str(entry.runs),
            entry.status,
            "" if entry.score is None else f"{entry.score:.4g}",
            entry.variant,
            _age(entry.started_at),
        )
        for entry in entries
    ]
    names = ("folder", "runs", "status", "score", "variant", "age")
    print_table(names, rows, ("runs", "score", "age"), [_has_failed(entry) for entry in entries])


def _shown(folder: str) -> str:
    return relative_path(Path(folder))


def _age(started_at: str | None) -> str:
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(started_at or "")).total_seconds()
    except (ValueError, TypeError):
        return ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
