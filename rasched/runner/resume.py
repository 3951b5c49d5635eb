"""Go on with what was stopped: a sweep's missing runs, or a single run behind its last checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rasched.analysis.sweep_table import SweepSummary
from rasched.compose.composer import Composer
from rasched.compose.config_hash import difference, flat
from rasched.compose.jobs import JobComposer
from rasched.compose.schema import conf_dir
from rasched.errors import UsageError
from rasched.records import checkpoint
from rasched.records.lock import lock_dir
from rasched.records.run_json import RECORD, is_done, read_record
from rasched.runner.batching import cut
from rasched.runner.progress import Progress
from rasched.runner.run import finish as finish_run
from rasched.runner.run_batch import CHECKPOINT, Result
from rasched.runner.run_spec import RunSpec, make_run_specs, validate_run_specs
from rasched.runner.sweep import finish, launch
from rasched.runner.sweep_json import INDEX, SweepIndex, Words, read_index
from rasched.runner.watch import Watch


def is_sweep(folder: Path) -> bool:
    """Return whether the folder is a sweep's, rather than a run's; a UsageError where it is neither."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; name that of a sweep or a run: rasched resume FOLDER")
    if (folder / INDEX).exists():
        return True
    if (folder / RECORD).exists():
        return False
    raise UsageError(f"{folder} holds neither {INDEX} nor {RECORD}: name the folder of a sweep or a run")


def resume_sweep(folder: Path, progress: Progress, processes: int | None = None) -> SweepSummary:
    """Train the runs of a sweep that are missing, failed or cut off; those that are done stay as they are.

    A UsageError where the settings are not those that the sweep began with, or where another process is at work here.
    """
    with lock_dir(folder) as held:
        found = read_index(folder)
        plans = replan(folder, found, range(len(found["runs"])))
        words = Words(**found["words"])
        index = SweepIndex(folder, words, plans, found["started"])
        left = unfinished(plans)
        tiles, processes = cut(left, processes, words.stacked)
        workers = processes if processes > 1 else 0
        return finish(index, progress, lambda: launch(tiles, folder, progress, workers, held))


def unfinished(plans: Sequence[RunSpec]) -> list[RunSpec]:
    """Return the plans whose runs are not done, to be tried again."""
    left = [plan for plan in plans if not is_done(plan.folder, plan.identity)]
    for plan in left:
        plan.again = plan.folder.exists()
        if read_record(plan.folder).get("status") == "done":
            raise UsageError(f"{plan.folder} holds another run, which is finished; move it away, then resume")
    return left


def replan(folder: Path, found: Mapping[str, Any], nums: Sequence[int]) -> list[RunSpec]:
    """Compose runs of an index again; a UsageError where they are not what the index says."""
    words = Words(**found["words"])
    composer = Composer.open(**words.files)
    rows = found["runs"]
    jobs = JobComposer(composer, words.hydra)
    plans = make_run_specs([jobs.compose(rows[num]["overrides"], num) for num in nums])
    validate_run_specs(plans)
    for num, plan in zip(nums, plans, strict=True):
        plan.folder = folder / rows[num]["folder"]
        if plan.identity != rows[num]["identity"]:
            changed = difference({**found["settings"], **rows[num]["settings"]}, _as_json(flat(plan.config)))
            raise UsageError(
                f"{folder} cannot be resumed, since its configuration has changed: in job {num}, "
                f"{changed or 'the identity'}; put it back, or start a new sweep"
            )
    return plans


def resume_run(folder: Path, watch: Watch) -> Result | None:
    """Carry on a single run behind its last checkpoint, or from its start where there is none; None: it is done.

    From there the records are, bit for bit, those of a run that was never stopped.
    """
    if (folder.absolute().parent / INDEX).exists():
        raise UsageError(f"{folder} is one run of a sweep: rasched resume {folder.parent}")
    with lock_dir(folder):
        record = read_record(folder)
        if record.get("status") == "done":
            return None
        plan = _recomposed(folder, record)
        plan.again = True
        try:
            plan.state = checkpoint.load(folder / CHECKPOINT)
        except FileNotFoundError:
            plan.state = None
        except checkpoint.CheckpointError as error:
            raise UsageError(f"{folder} cannot be resumed: {error}") from error
        watch.begin(1, plan.settings.steps)
        return finish_run(plan, watch)


def _recomposed(folder: Path, record: Mapping[str, Any]) -> RunSpec:
    config, overrides, hydra = (_read(folder / ".hydra" / f"{name}.yaml") for name in ("config", "overrides", "hydra"))
    node = hydra["hydra"]
    composer = Composer.open(**_files(node))
    job = JobComposer(composer, node["overrides"]["hydra"]).compose(overrides, 0)
    changed = difference(_as_json(flat(config)), _as_json(flat(yaml.safe_load(job.config_yaml))))
    plan = RunSpec(job.config, job.overrides, folder, job)
    validate_run_specs([plan])
    if changed or plan.identity != record.get("identity"):
        raise UsageError(
            f"{folder} cannot be resumed, since its configuration has changed: "
            f"{changed or 'its settings are not those that its run.json was written for'}; "
            "put it back, or start a new run"
        )
    return plan


def _files(hydra: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what the composer was opened with, from what Hydra noted of its sources."""
    paths = {source["provider"]: source["path"] for source in hydra["runtime"]["config_sources"]}
    main = paths.get("main")
    own = None if main == str(conf_dir()) else main
    return {"config_dir": paths.get("command-line"), "config_path": own, "config_name": hydra["job"]["config_name"]}


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read, so the run cannot be resumed: {error}") from error


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a file of JSON gives them back."""
    return dict(json.loads(json.dumps(settings)))
