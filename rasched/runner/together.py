"""The seeds of each setting as one curve for TensorBoard: mean, and a 95 % interval of it, as a margin chart."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rasched.results.load import Run, Sweep
from rasched.runner.folders import job_folder
from rasched.runner.hparams import hyperparameters
from rasched.runner.table import settings
from rasched.train.dashboard import Band, Category
from rasched.train.eventfile import EventFile

FOLDER = "_summary"
CURVES = ("train/reward", "train/lr", "rollout/ep_rew_mean", "eval/return")
POINTS = 200  # of a curve: each is the mean of a stretch of steps
_AT_ONCE = 500  # runs whose tables are read together


def draw_together(folder: Path, rows: Sequence[Mapping[str, Any]], configs: Sequence[Mapping[str, Any]]) -> None:
    """Write ``_summary/`` into a sweep's folder: an event file a setting that has seeds, and one for the whole sweep.

    ``rows`` are the index's, ``configs`` the runs' settings in the same order (none: nothing is known of them, and
    nothing is written).
    """
    if not configs:
        return
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    groups: dict[str, list[Path]] = {}
    for row, (setting, lr) in zip(rows, settings(rows), strict=True):
        if row["status"] == "done":
            name = ",".join(filter(None, [setting.replace(" ", ","), lr and f"optimizer.lr={lr}"]))
            groups.setdefault(name or "all", []).append(folder / row["folder"])
    curves = [(name, runs) for name, runs in groups.items() if len(runs) > 1]
    stretch = max(1, -(-max(int(config["steps"]) for config in configs) // POINTS))
    drawn = _curves([runs for _, runs in curves], stretch) if curves else pl.DataFrame()
    for (num,), table in drawn.partition_by("curve", as_dict=True).items() if curves else ():
        _draw(folder / FOLDER / job_folder(num, curves[num][0]), table)
    _describe(folder / FOLDER, rows, configs, [name for name in CURVES if name in drawn.columns])


def _curves(groups: Sequence[Sequence[Path]], stretch: int) -> pl.DataFrame:
    """Return rows of ``curve`` (the group's place) and ``step``: each value's mean and the half of its interval.

    A run enters with its means over stretches of steps, whose ends are the steps.
    """
    folders = [run for runs in groups for run in runs]
    end = (pl.col("step") - 1) // stretch * stretch + stretch
    parts = []
    for start in range(0, len(folders), _AT_ONCE):
        runs = tuple(Run(path) for path in folders[start : start + _AT_ONCE])
        table = Sweep(folders[0].parent, runs).metrics(CURVES)
        parts.append(table.group_by(pl.col("run") + start, end.alias("step")).agg(pl.col(CURVES).mean()).collect())
    thinned = pl.concat(parts)
    known = [name for name in CURVES if thinned[name].count()]
    curve = pl.Series([num for num, runs in enumerate(groups) for _ in runs])
    spread = [1.96 * pl.col(name).std() / pl.col(name).count().sqrt() for name in known]
    return (
        thinned.group_by(curve[thinned["run"]].alias("curve"), "step")
        .agg(pl.col(known).mean(), *(half.alias(f"{name} half") for name, half in zip(known, spread, strict=True)))
        .sort("curve", "step")
    )


def _draw(folder: Path, table: pl.DataFrame) -> None:
    events = EventFile(folder)
    for name in (name for name in CURVES if name in table.columns):
        mean, half = (table[column].fill_null(np.nan).to_numpy() for column in (name, f"{name} half"))
        events.append(
            table["step"].to_numpy(), {f"{name}/mean": mean, f"{name}/low": mean - half, f"{name}/high": mean + half}
        )
    events.close()


def _describe(
    folder: Path, rows: Sequence[Mapping[str, Any]], configs: Sequence[Mapping[str, Any]], curves: Sequence[str]
) -> None:
    """Write the charts, and the columns of the HParams table: what the sweep varies, beside the scores."""
    events = EventFile(folder)
    if curves:
        bands = tuple(Band(name, f"{name}/mean", f"{name}/low", f"{name}/high") for name in curves)
        events.layout([Category("seeds together: mean and its 95 % interval", bands)])
    values: dict[str, dict[Any, None]] = {}
    for config in configs:
        for name, value in hyperparameters(config).items():
            values.setdefault(name, {})[value] = None
    varied = {name: _alike(list(found)) for name, found in values.items() if len(found) > 1 and name != "seed"}
    scores = sorted({f"score/{name}" for row in rows for name in row["scores"]})
    events.hparams_config(varied, scores)
    events.close()


def _alike(values: list[Any]) -> list[Any]:
    """Return values of one type, as TensorBoard wants them."""
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return sorted(numbers) if len(numbers) == len(values) else sorted(map(str, values))
