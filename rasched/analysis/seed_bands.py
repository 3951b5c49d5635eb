"""The seeds of each setting as one curve for TensorBoard: mean, and a 95 % interval of it, as a margin chart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from rasched.analysis.load import scan_metrics
from rasched.analysis.run_folder import Run
from rasched.analysis.sweep_table import runs_of
from rasched.analysis.variants import find_variants, label
from rasched.records.downsampling import CurveMeans
from rasched.records.output_dir import plain_name, shorten_overrides
from rasched.records.primary_score import PRIMARY_SCORES
from rasched.records.tensorboard.event_file import EventFile
from rasched.records.tensorboard.summaries import BandChart, ChartGroup
from rasched.records.tensorboard.tags import band_tags, score_tag

CurveData: TypeAlias = Mapping[str, Any]  # NumPy arrays of shape (points,): ``step``, and each curve by its name
FOLDER = "_summary"
RATE = "train/lr"
CURVES = ("train/reward", RATE, "rollout/ep_rew_mean", "eval/return")
POINTS = 200  # of a curve: each is the mean of a stretch of steps
NUM_SEEDS = "seeds"  # the name of the number of seeds among the scores
_AT_ONCE = 500  # runs whose tables are read together


def curve_spec(steps: int) -> CurveMeans:
    """Return what is band_table of a run of that many steps."""
    return CurveMeans(CURVES, max(1, -(-steps // POINTS)))


def write_seed_bands(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    hparams: Sequence[Mapping[str, Any]],
    trial_groups: Sequence[str],
    known: Mapping[tuple[str, ...], CurveData],
) -> None:
    """Write ``_summary/`` into a sweep's folder: an event file per variant that has seeds, and one for all.

    ``rows`` are the index's, ``hparams`` the runs' settings, flat, in the same order (none: nothing is written), and
    ``trial_groups`` name their rows of the HParams table. The curves of runs that are not among the ``known``, by their
    overrides, are read.
    """
    if not hparams:
        return
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    groups: dict[str, list[int]] = {}
    for run_index, (row, variant) in enumerate(zip(rows, find_variants(runs_of(folder, rows)).of_runs, strict=True)):
        if row["status"] == "done":
            groups.setdefault(label(dict(variant)), []).append(run_index)
    groups_with_seeds = {name: run_indices for name, run_indices in groups.items() if len(run_indices) > 1}
    known_curves, unread = dict[int, CurveData](), dict[CurveMeans, dict[int, Path]]()
    for run_index in (run_index for run_indices in groups_with_seeds.values() for run_index in run_indices):
        means = known.get(tuple(rows[run_index]["overrides"]))
        if means is not None:
            known_curves[run_index] = means
        else:
            unread.setdefault(curve_spec(hparams[run_index]["steps"]), {})[run_index] = (
                folder / rows[run_index]["folder"]
            )
    names = _names(list(groups_with_seeds))
    tables = [_table(known_curves)] if known_curves else []
    tables += [table for curves, runs in unread.items() for table in _read(runs, curves)]
    band_table = _curves(pl.concat(tables), list(groups_with_seeds.values())) if tables else pl.DataFrame()
    for (num,), table in band_table.partition_by("curve", as_dict=True).items() if tables else ():
        run_indices = list(groups_with_seeds.values())[num]
        scores_of_runs = [rows[run_index]["scores"] for run_index in run_indices]
        events = EventFile(folder / FOLDER / names[num])
        of_variant = {name: value for name, value in hparams[run_indices[0]].items() if name != "seed"}
        events.hparams(of_variant, trial_groups[run_indices[0]])
        _draw(events, table, scores_of_runs)
    _describe(folder / FOLDER, rows, hparams, [name for name in CURVES if name in band_table.columns])


def _table(known: Mapping[int, CurveData]) -> pl.DataFrame:
    """Return rows of ``run``, ``step`` and the means."""
    by_run = [(np.full(len(means["step"]), run), means) for run, means in known.items()]
    columns = {
        "run": np.concatenate([run for run, _ in by_run]),
        "step": np.concatenate([m["step"] for _, m in by_run]),
    }
    columns |= {name: np.concatenate([m.get(name, np.full(len(run), np.nan)) for run, m in by_run]) for name in CURVES}
    return pl.DataFrame(columns).with_columns(pl.col(CURVES).fill_nan(None))


def _read(runs: Mapping[int, Path], curves: CurveMeans) -> Iterator[pl.DataFrame]:
    """Read the curves of runs, some runs at a time."""
    end = curves.end(pl.col("step"))
    for start in range(0, len(runs), _AT_ONCE):
        run_indices = [*runs][start : start + _AT_ONCE]
        metrics = scan_metrics([Run(runs[run_index]) for run_index in run_indices], curves.names)
        run_index = pl.col("run").replace_strict(range(len(run_indices)), run_indices, return_dtype=pl.Int64)
        yield metrics.group_by(run_index, end.alias("step")).agg(pl.col(curves.names).mean()).collect()


def _curves(means: pl.DataFrame, groups: Sequence[Sequence[int]]) -> pl.DataFrame:
    """Return rows of ``curve`` (the index of its group) and ``step``: each value's mean and the half of its interval.

    Those of the learning rate are of its logarithm: it is positive, and its band must be so too.
    """
    means = means.with_columns(pl.when(pl.col(RATE) > 0).then(pl.col(RATE)).log())
    names = [name for name in CURVES if means[name].count()]
    runs = [run for runs in groups for run in runs]
    curve = pl.col("run").replace_strict(runs, [num for num, group in enumerate(groups) for _ in group])
    spread = [(1.96 * pl.col(name).std() / pl.col(name).count().sqrt()).alias(f"{name} half") for name in names]
    return means.group_by(curve.alias("curve"), "step").agg(pl.col(names).mean(), *spread).sort("curve", "step")


def _names(variants: Sequence[str]) -> list[str]:
    """Return a short name per variant, as ``kelly lr=0.1``; a number is added if two would have the same."""
    names = [plain_name(shorten_overrides(variant.replace(" ", ",")).replace(",", " ")) for variant in variants]
    return [name if names.count(name) == 1 else f"{name} {num}" for num, name in enumerate(names)]


def _draw(events: EventFile, table: pl.DataFrame, scores_of_runs: Sequence[Mapping[str, float]]) -> None:
    """Write a variant's curves, its mean scores and the number of seeds."""
    steps = table["step"].to_numpy()
    for name in (name for name in CURVES if name in table.columns):
        mean, half = (table[column].fill_null(np.nan).to_numpy() for column in (name, f"{name} half"))
        curves = np.stack([mean, mean - half, mean + half])
        if name == RATE:  # these are of the logarithm
            curves = np.exp(curves)
        events.append(steps, dict(zip(band_tags(name), curves, strict=True)))
    numbers = {NUM_SEEDS: float(len(scores_of_runs))}
    numbers |= {name: float(np.mean([s[name] for s in scores_of_runs if name in s])) for name in scores_of_runs[0]}
    events.append(steps[-1:], {score_tag(name): [number] for name, number in numbers.items()})
    events.close()


def _describe(
    folder: Path, rows: Sequence[Mapping[str, Any]], hparams: Sequence[Mapping[str, Any]], curves: Sequence[str]
) -> None:
    """Write the charts, and the columns of the HParams table: what the sweep varies, beside the scores."""
    events = EventFile(folder)
    if curves:
        ordered = sorted(curves, key=lambda name: name != RATE)  # the learning rate first
        bands = tuple(BandChart(band_tags(name)[0].rpartition("/")[2], *band_tags(name)) for name in ordered)
        events.layout([ChartGroup("seeds together: mean and its 95 % interval", bands)])
    values: dict[str, dict[Any, None]] = {}
    for settings_of_run in hparams:
        for name, value in settings_of_run.items():
            values.setdefault(name, {})[value] = None
    varied = {
        name: _same_type(list(choices)) for name, choices in values.items() if len(choices) > 1 and name != "seed"
    }
    names = sorted({name for row in rows for name in row["scores"]})
    primary = [name for name in PRIMARY_SCORES if name in names][:1]  # TensorBoard ticks the first five
    names = [*primary, NUM_SEEDS, *(name for name in names if name not in primary)]
    events.hparams_config(varied, {score_tag(name): name for name in names})
    events.close()


def _same_type(values: list[Any]) -> list[Any]:
    """Return values of one type, as TensorBoard wants them."""
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return sorted(numbers) if len(numbers) == len(values) else sorted(map(str, values))
