"""Runs and sweeps as frames: what ``rasched.load`` returns."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from rasched.analysis.answer import answer, left_out
from rasched.analysis.compare import Comparison, compare
from rasched.analysis.run_folder import Run, check_folder, find_runs, require_curves
from rasched.analysis.score_choice import ScoreChoice, best_index, choose_score, column_scores
from rasched.analysis.variants import find_variants, label
from rasched.errors import DamagedFileError, UsageError
from rasched.records.journal import JOURNAL
from rasched.records.metrics import METRICS, read_metrics

if TYPE_CHECKING:
    from rasched.train.policy import Policy

_UNREADABLE = (OSError, ValueError, DamagedFileError, pl.exceptions.PolarsError)
Schema: TypeAlias = dict[str, pl.DataType]


@dataclass(frozen=True)
class Results:
    """The runs at and below one or several folders, in natural order (2 before 10).

    Iterating gives each :class:`~rasched.analysis.run_folder.Run`. ``damaged`` has one sentence per file that could not
    be read.
    """

    folders: tuple[Path, ...]
    all: tuple[Run, ...] = field(repr=False)
    damaged: list[str] = field(default_factory=list, repr=False)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, index: int) -> Run:
        return self.all[index]

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row per run: folder, status, seed and so on, its overrides, its settings and its scores.

        A setting has the name that one types, such as ``rule.gain``, and a score its own, such as ``regret_total``.
        ``frame.to_pandas()`` converts it if pandas and pyarrow are installed.
        """
        rows = [_row(run) for run in self.all]
        names = dict.fromkeys(name for row in rows for name in row)
        return pl.DataFrame([_series(name, [row.get(name) for row in rows]) for name in names])

    @cached_property
    def sweeps(self) -> pl.DataFrame:
        """One row per folder that runs were found through: the numbers of runs, of done and of failed ones."""
        rows = self.runs.group_by("sweep", maintain_order=True)
        return rows.agg(
            pl.len().alias("runs"),
            (pl.col("status") == "done").sum().alias("done"),
            (pl.col("status") == "failed").sum().alias("failed"),
        )

    def metrics(self, *columns: str) -> pl.LazyFrame:
        """Return the metrics of all runs below one another, with a column ``run``, the index of the run.

        It is lazy: only the columns and rows that a query asks for are read. A column that a run does not have is null,
        and runs that recorded nothing are left out.

        Args:
            *columns: The columns to read beside ``run`` and ``step``; by default all. Naming them is faster.

        Raises:
            UsageError: A sweep among them keeps only scores.

        """
        require_curves(self.all)
        return scan_metrics(self.all, columns or None, self.damaged)

    def compare(
        self, metric: str | None = None, by: str | Sequence[str] = (), baseline: str | None = None
    ) -> Comparison:
        """Compare the variants of the runs, as ``rasched compare`` does.

        Args:
            metric: A score or a statistic of a column (:func:`rasched.analysis.score_choice.choose_score`).
            by: Overrides that tell variants apart; by default all that differ, but the seed.
            baseline: Overrides that mark the baseline, such as ``rule=none``.

        Raises:
            UsageError: No run is done, or none has the score, or a name is unknown.

        """
        done = {index: run for index, run in enumerate(self.all) if run.status == "done"}
        if not done:
            raise UsageError(f"{_names(self.folders)} holds no finished run, so there is nothing to compare")
        choice = choose_score(metric, [run.scores for run in done.values()])
        scores = self._scores(choice, done)
        compared = compare(self.all, scores, choice, [by] if isinstance(by, str) else by, baseline)
        names = [label(dict(variant)) for variant in find_variants(self.all).of_runs]
        unfinished = [(run.status, name) for run, name in zip(self.all, names, strict=True) if run.status != "done"]
        notes = left_out(unfinished, len(done) - len(scores), compared.repeats, choice.name)
        return replace(compared, answer=tuple(answer(compared)), notes=tuple(notes))

    def best(self) -> Run:
        """Return the best of the runs whose policy was kept, by the score that :meth:`compare` sorts by.

        Raises:
            UsageError: No run kept its policy.

        """
        kept = [run for run in self.all if run.has_policy]
        if len(self.all) > 1 and self.all[0].folder in self.folders:  # a single run comes before its control
            kept = [self.all[0]] if self.all[0].has_policy else []
        if not kept:
            raise UsageError(
                f"{_names(self.folders)} holds no policy.pt: a sweep keeps that of its best run, unless it began with "
                "logger.keep_policy=all; a run that is not done has none"
            )
        return kept[best_index([run.scores for run in kept]) or 0]

    def policy(self, trust: bool = False) -> Policy:
        """Return the trained policy of :meth:`best`, whose ``act(observation)`` gives an action.

        Args:
            trust: Import the user's own classes that its file names, if there are any.

        Raises:
            UsageError: No policy was kept, or it needs code of its own and is not trusted.
            DamagedFileError: The file cannot be read.

        """
        return self.best().policy(trust)

    def score_of_runs(self, metric: str | None = None) -> dict[int, float]:
        """Return the score of each finished run that has it, by the run's index; see :meth:`compare`."""
        done = {index: run for index, run in enumerate(self.all) if run.status == "done"}
        if not done:
            raise UsageError(f"{_names(self.folders)} holds no finished run, so there is nothing to compare")
        return self._scores(choose_score(metric, [run.scores for run in done.values()]), done)

    def _scores(self, choice: ScoreChoice, done: Mapping[int, Run]) -> dict[int, float]:
        if choice.column is None:
            scores = {index: run.scores[choice.name] for index, run in done.items() if choice.name in run.scores}
        else:
            scores = self._column_scores(choice, list(done))
        scores = {index: score for index, score in scores.items() if not math.isnan(score)}
        if not scores:
            raise UsageError(f"no run of {_names(self.folders)} has {choice.column or choice.name}{self._columns()}")
        return scores

    def _column_scores(self, choice: ScoreChoice, indices: list[int]) -> dict[int, float]:
        assert choice.column is not None
        require_curves(self.all[index] for index in indices)
        try:
            metrics = scan_metrics([self.all[index] for index in indices], [choice.column], self.damaged)
            return {indices[run]: score for run, score in column_scores(choice, metrics).items()}
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # a file whose middle is damaged: find it
            readable = [index for index in indices if _is_readable(self.all[index], self.damaged)]
            if len(readable) == len(indices):
                raise
            return self._column_scores(choice, readable)

    def _columns(self) -> str:
        names = next((names for run in self.all if (names := _column_names(run.folder))), [])
        return f"; columns of the metrics: {', '.join(names)}" if names else ""


def load(*folders: str | Path) -> Results:
    """Read the runs at and below one or several folders, at any depth.

    A file that cannot be read is left out with a warning that names it.

    Raises:
        UsageError: A folder does not exist, or none holds a run.

    """
    results = read_results(folders)
    for sentence in results.damaged:
        warnings.warn(sentence, stacklevel=2)
    return results


def read_results(folders: Sequence[str | Path]) -> Results:
    """Read the runs of folders; what cannot be read is only listed in ``damaged``."""
    paths = tuple(check_folder(folder) for folder in folders)
    damaged: list[str] = []
    unique = {run.folder.absolute(): run for path in paths for run in find_runs(path, damaged)}
    if not unique and not damaged:
        raise UsageError(f"{_names(paths)} holds no run; `rasched run` makes one, under outputs/ by default")
    return Results(paths, tuple(unique.values()), list(dict.fromkeys(damaged)))


def load_run(folder: str | Path) -> Run:
    """Open one run; a UsageError if the folder is not a run's."""
    path = check_folder(folder)
    damaged: list[str] = []
    run = next(find_runs(path, damaged), None)
    if damaged:
        raise UsageError(damaged[0])
    if run is None or run.folder != path:
        raise UsageError(f"{folder} is not the folder of a run: it holds neither run.json nor metrics")
    return run


def scan_metrics(
    runs: Sequence[Run], columns: Sequence[str] | None = None, damaged: list[str] | None = None
) -> pl.LazyFrame:
    """Return the metrics of runs as one lazy frame with the run's index, as :meth:`Results.metrics` does.

    The order of runs is not kept if their columns differ. A file that cannot be read leaves a sentence in ``damaged``.
    """
    damaged = [] if damaged is None else damaged
    schema: Schema | None = None if columns is None else {"step": pl.Int64(), **dict.fromkeys(columns, pl.Float64())}
    alike: dict[tuple[str, ...], dict[str, int]] = {}
    frames = []
    for index, run in enumerate(runs):
        path = run.folder / METRICS
        try:
            if (run.folder / JOURNAL).exists():
                frames.append(_number(_chosen(read_metrics(run.folder).lazy(), schema), index))
            elif path.exists():
                _check_parquet(path, run.record.get("metrics_crc32"))
                names = schema or _open([str(path)]).collect_schema()
                alike.setdefault(tuple(names), {})[str(path)] = index
        except _UNREADABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            damaged.append(f"{path} cannot be read ({reason}); the run is left out")
    frames += [_scan(paths, schema) for paths in alike.values()]
    if not frames:
        return pl.LazyFrame(schema={"run": pl.Int64, **(schema or {"step": pl.Int64})})
    return pl.concat(frames, how="diagonal")


def _scan(paths: dict[str, int], schema: Schema | None) -> pl.LazyFrame:
    """Scan tables of the same columns, or what they have of a schema, as one, numbered by run.

    A scan per file would take thirty times as long.
    """
    chosen = {"schema": schema, "missing_columns": "insert", "extra_columns": "ignore"} if schema else {}
    table = _open(list(paths), include_file_paths="run", **chosen)
    return table.select(pl.col("run").replace_strict(paths, return_dtype=pl.Int64), pl.all().exclude("run"))


def _open(paths: list[str], **options: Any) -> pl.LazyFrame:
    """Scan tables; a folder's name is only a name here: `rule=kelly` is no partition, and `lr=[1]` no pattern."""
    return pl.scan_parquet(paths, hive_partitioning=False, glob=False, **options)


def _chosen(table: pl.LazyFrame, schema: Schema | None) -> pl.LazyFrame:
    return table.match_to_schema(schema, missing_columns="insert", extra_columns="ignore") if schema else table


def _number(table: pl.LazyFrame, index: int) -> pl.LazyFrame:
    return table.select(pl.lit(index, pl.Int64).alias("run"), pl.all())


def _check_parquet(path: Path, crc32: int | None) -> None:
    """Raise a ValueError unless a file is the one that ``run.json`` tells of; polars finds no changed number.

    Without a checksum it must begin and end as Parquet does: one that was cut off would end the scan of all.
    """
    content = path.read_bytes()
    if crc32 is not None and zlib.crc32(content) != crc32:
        raise ValueError("it does not match the checksum in run.json")
    footer_size = int.from_bytes(content[-8:-4], "little")
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1" or footer_size > len(content) - 12:
        raise ValueError("it is cut off, or no Parquet file")


def _is_readable(run: Run, damaged: list[str]) -> bool:
    try:
        read_metrics(run.folder)
    except FileNotFoundError:
        return True
    except _UNREADABLE as error:
        damaged.append(f"{str(error).splitlines()[0]}; the run is left out")
        return False
    return True


def _column_names(folder: Path) -> list[str]:
    try:
        return [name for name in read_metrics(folder).columns if name != "step"]
    except _UNREADABLE:
        return []


def _row(run: Run) -> dict[str, Any]:
    entries = {
        "folder": str(run.folder),
        "sweep": str(run.sweep),
        "status": run.status,
        "seed": run.seed,
        "steps": run.steps,
        "error": run.error,
        "started_at": run.started_at,
        "wall_time": run.record.get("wall_time"),
        "config_hash": run.config_hash,
        "commit": run.record.get("git", {}).get("commit"),
        "overrides": run.overrides,
    }
    try:
        settings = {name: value for name, value in run.settings.items() if name not in entries}
    except DamagedFileError:
        settings = {}
    return entries | settings | {name: value for name, value in run.scores.items() if name not in entries}


def _series(name: str, values: list[Any]) -> pl.Series:
    """Return a column of one type: as it is if all values agree, numbers as floats, anything else as text."""
    kinds = {type(value) for value in values if value is not None}
    if name == "overrides":
        return pl.Series(name, values, dtype=pl.List(pl.String))
    if len(kinds) <= 1 and kinds <= {bool, int, float, str}:
        return pl.Series(name, values)
    if kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _names(folders: Sequence[Path]) -> str:
    return " and ".join(map(str, folders))
