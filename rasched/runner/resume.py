"""Resume what was stopped: the unfinished runs of a sweep, or a single run from its last checkpoint."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from rasched.analysis.run_folder import CONTROL_DIR
from rasched.analysis.sweep_table import SweepSummary
from rasched.compose.composer import Composer
from rasched.compose.config_hash import describe_difference, flatten
from rasched.compose.jobs import JobComposer
from rasched.compose.schema import conf_dir
from rasched.errors import CheckpointError, DamagedFileError, UsageError
from rasched.records.checkpoint import CHECKPOINT, delete_checkpoint, load_checkpoint
from rasched.records.metrics import METRICS, is_intact
from rasched.records.output_dir import lock_dir
from rasched.records.run_json import RECORD, read_record
from rasched.records.safe_read import load_yaml
from rasched.records.trust import find_code_import, find_config_source
from rasched.runner.batch_checkpoint import find_batches
from rasched.runner.batching import make_batches, suggest_num_workers
from rasched.runner.local_launcher import run_and_summarize, train_locally
from rasched.runner.progress import ProgressReporter
from rasched.runner.run import train_single
from rasched.runner.run_records import INDEX, read_records
from rasched.runner.run_spec import RunSpec, make_run_specs, validate
from rasched.runner.sweep_json import Composition, SweepIndex, read_index
from rasched.train.run_result import RunResult, RunStatus


def is_sweep(folder: Path) -> bool:
    """Return whether the folder is a sweep's, rather than a run's; a UsageError if it is neither."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name that of a sweep or a run: rasched resume FOLDER")
    if (folder / INDEX).exists():
        return True
    if (folder / RECORD).exists():
        return False
    raise UsageError(f"{folder} holds neither {INDEX} nor {RECORD}: name the folder of a sweep or a run")


def resume_sweep(
    folder: Path, progress: ProgressReporter, num_workers: int | None = None, trust: bool = False
) -> SweepSummary:
    """Train the runs of a sweep that are missing, failed or interrupted; finished runs stay as they are.

    Raises UsageError if the settings are not those that the sweep began with, or if another process trains here. No
    module and no configuration folder that the files name is used unless ``trust``.
    """
    _refuse_links(folder)
    with lock_dir(folder) as lock_files:
        content = read_index(folder)
        specs = recompose(folder, content, range(len(content["runs"])), trust)
        composition = Composition(**content["composition"])
        index = SweepIndex(folder, composition, specs, content.get("started_at"), content.get("files") == "scores")
        unfinished = select_unfinished(folder, specs)
        saved = find_batches(specs, {spec.folder for spec in unfinished}) if composition.batched else []
        in_saved = {spec.folder for batch in saved for spec in batch.specs}
        others = [spec for spec in unfinished if spec.folder not in in_saved]
        batches = [*saved, *make_batches(others, num_workers, composition.batched)[0]]
        num_workers = min(num_workers or suggest_num_workers(batches), len(batches))
        workers = num_workers if num_workers > 1 else 0
        return run_and_summarize(index, progress, lambda: train_locally(batches, folder, progress, workers, lock_files))


def select_unfinished(sweep_folder: Path, specs: Sequence[RunSpec]) -> list[RunSpec]:
    """Return the runs that are not done, as retries if their folders exist."""
    for spec in specs:
        for parent in spec.folder.relative_to(sweep_folder).parents:  # there are some if a name has a slash
            _refuse_link(sweep_folder / parent)
        _refuse_links(spec.folder)
    unfinished = []
    for spec, record in zip(specs, read_records(specs), strict=True):
        is_done = record.get("status") == RunStatus.DONE
        if is_done and record.get("config_hash") != spec.config_hash:
            raise UsageError(f"{spec.folder} holds another run, which is finished; move it away, then resume")
        if is_done and not (spec.only_scores or is_intact(spec.folder)):
            _discard(spec.folder)
            is_done = False
        if not is_done:
            unfinished.append(replace(spec, is_retry=bool(record) or spec.folder.exists()))
    return unfinished


def recompose(folder: Path, index: Mapping[str, Any], nums: Sequence[int], trust: bool) -> list[RunSpec]:
    """Compose runs of an index again; a UsageError if their settings are not those of the index."""
    composition = Composition(**index["composition"])
    rows = index["runs"]
    if not trust:
        _refuse_sources(folder, composition.hydra_overrides, composition.config_files)
    jobs = JobComposer(Composer.open(**composition.config_files), composition.hydra_overrides)
    specs = make_run_specs([jobs.compose(rows[num]["overrides"], num) for num in nums])
    if not trust:
        for spec in specs:
            _refuse_code(folder, spec.config)
    validate(specs)
    for num, spec in zip(nums, specs, strict=True):
        if spec.config_hash != rows[num]["config_hash"]:
            changed = describe_difference(
                {**index["settings"], **rows[num]["settings"]}, _through_json(flatten(spec.config))
            )
            raise UsageError(
                f"{folder} cannot be resumed, since its configuration has changed: in job {num}, "
                f"{changed or 'its hash'}; put it back, or start a new sweep"
            )
    return [
        replace(spec, folder=folder / rows[num]["folder"], sweep_folder=folder)
        for num, spec in zip(nums, specs, strict=True)
    ]


def resume_run(folder: Path, progress: ProgressReporter, trust: bool = False) -> tuple[RunSpec, RunResult] | None:
    """Continue a single run from its last checkpoint, or from its start if it has none; None if it is done.

    The records are then, bit for bit, those of a run that was never stopped. No module and no configuration folder that
    the files name is used unless ``trust``.
    """
    if (folder.absolute().parent / INDEX).exists():
        raise UsageError(f"{folder} is one run of a sweep: rasched resume {folder.parent}")
    _refuse_links(folder)
    with lock_dir(folder):
        record = read_record(folder)
        is_finished = record.get("status") == RunStatus.DONE
        if is_finished and is_intact(folder):
            return None
        spec, jobs = _recompose_run(folder, record, trust)
        if is_finished:
            _discard(folder)
        try:
            state = load_checkpoint(folder / CHECKPOINT, spec.config_hash)
        except FileNotFoundError:
            state = None
        except CheckpointError as error:
            raise UsageError(f"{folder} cannot be resumed: {error}") from error
        spec = replace(spec, state=state)
        return spec, train_single(spec, jobs, progress)


def _discard(folder: Path) -> None:
    """Let a finished run, whose table is damaged, be trained from the start."""
    message = f"{folder / METRICS} is missing, or not what the run wrote; the run is trained again"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    delete_checkpoint(folder / CHECKPOINT)


def _recompose_run(folder: Path, record: Mapping[str, Any], trust: bool) -> tuple[RunSpec, JobComposer]:
    config, overrides, hydra = (_read(folder / ".hydra" / f"{name}.yaml") for name in ("config", "overrides", "hydra"))
    try:
        node = hydra["hydra"]
        hydra_overrides, config_files = list(node["overrides"]["hydra"]), _config_files(node)
        overrides, config = [str(line) for line in overrides], dict(config)
    except (TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{folder / '.hydra'} cannot be read: rasched has not written it") from error
    if not trust:
        _refuse_sources(folder, hydra_overrides, config_files)
    jobs = JobComposer(Composer.open(**config_files), hydra_overrides)
    job = jobs.compose(overrides, 0)
    if not trust:
        _refuse_code(folder, job.config)
    changed = describe_difference(
        _through_json(flatten(config)), _through_json(flatten(yaml.safe_load(job.config_yaml)))
    )
    spec = RunSpec(job, folder, is_retry=True)
    validate([spec])
    if changed or spec.config_hash != record.get("config_hash"):
        raise UsageError(
            f"{folder} cannot be resumed, since its configuration has changed: "
            f"{changed or 'its settings are not those that its run.json was written for'}; "
            "put it back, or start a new run"
        )
    return spec, jobs


def _config_files(hydra: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the arguments with which the composer was opened, from Hydra's list of its sources."""
    paths = {source["provider"]: source["path"] for source in hydra["runtime"]["config_sources"]}
    main = paths.get("main")
    config_path = None if main == str(conf_dir()) else main
    return {
        "config_dir": paths.get("command-line"),
        "config_path": config_path,
        "config_name": hydra["job"]["config_name"],
    }


def _read(path: Path) -> Any:
    try:
        return load_yaml(path)
    except (OSError, DamagedFileError) as error:
        raise UsageError(f"the run cannot be resumed: {error}") from error


def _refuse_sources(folder: Path, hydra_overrides: Sequence[str], config_files: Mapping[str, str | None]) -> None:
    source = find_config_source(hydra_overrides, config_files)
    if source is not None:
        raise UsageError(f"{folder} reads configuration files of its own ({source}); if you trust them, add --trust")


def _refuse_code(folder: Path, config: Mapping[str, Any]) -> None:
    setting = find_code_import(config)
    if setting is not None:
        raise UsageError(f"{folder} imports code of its own ({setting}); if you trust it, add --trust")


def _refuse_links(folder: Path) -> None:
    """Raise a UsageError if the folder is a symbolic link, or has one through which a file might be written."""
    _refuse_link(folder)
    for parent in (folder, folder / ".hydra", folder / CONTROL_DIR):
        if parent.is_dir():
            with os.scandir(parent) as entries:
                link = next((entry.path for entry in list(entries) if entry.is_symlink()), None)
            if link is not None:
                raise UsageError(f"{link} is a symbolic link, through which nothing is written; delete it, then resume")


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise UsageError(f"{folder} is a symbolic link; name the folder itself")


def _through_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a JSON file gives them back."""
    return dict(json.loads(json.dumps(settings)))
