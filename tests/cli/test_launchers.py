"""Other launchers: each job a run, or a batch of them; started for real where their packages are installed."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cli_subprocess import start

RUNS = ("rule=kelly,trend", "seed=range(0,4)", "steps=60")
PLUGINS = {
    "joblib": "hydra_plugins.hydra_joblib_launcher",
    "ray": "hydra_plugins.hydra_ray_launcher",
    "submitit_local": "hydra_plugins.hydra_submitit_launcher",
}


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _needs(launcher: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not _is_installed(PLUGINS[launcher]), reason=f"{PLUGINS[launcher]} is not installed")


LAUNCHERS = [pytest.param(name, marks=[pytest.mark.cluster, _needs(name)]) for name in PLUGINS]


def _sweep(here: Path, *words: str) -> Any:
    process = start(here, "sweep", *RUNS, *words, "hydra/hydra_logging=none", "--json")
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    return json.loads(out[out.index("{\n") :])


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_each_job_of_a_launcher_is_a_good_run(here: Path, launcher: str) -> None:
    said = _sweep(here, f"hydra/launcher={launcher}", "hydra.sweep.dir=out")
    assert [row["status"] for row in said["runs"]] == ["done"] * 8
    assert sorted(row["seed"] for row in said["runs"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    for row in said["runs"]:
        assert {"metrics.parquet", "run.json", ".hydra"} <= {
            path.name for path in (here / "out" / row["folder"]).iterdir()
        }


@pytest.mark.parametrize("launcher", ["basic", *LAUNCHERS])
def test_each_job_of_a_launcher_may_be_a_batch(rasched: Callable[..., Any], here: Path, launcher: str) -> None:
    said = _sweep(here, f"hydra/launcher={launcher}", "hydra.sweep.dir=out", "--runs-per-job", "3")
    assert [row["status"] for row in said["runs"]] == ["done"] * 8
    batches = [
        json.loads((here / "out" / row["folder"] / "run.json").read_text())["runs_in_batch"] for row in said["runs"]
    ]
    assert batches == [3, 3, 3, 3, 3, 3, 2, 2]
    assert rasched("sweep", *RUNS, "hydra.sweep.dir=ours").code == 0
    for row in said["runs"]:
        ours, theirs = (here / name / row["folder"] / "metrics.parquet" for name in ("ours", "out"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_shard_that_did_not_end_is_finished_by_resume(rasched: Callable[..., Any], here: Path) -> None:
    said = _sweep(here, "hydra/launcher=basic", "hydra.sweep.dir=out", "--runs-per-job", "3")
    lost = here / "out" / said["runs"][4]["folder"]
    before = (lost / "metrics.parquet").read_bytes()
    (lost / "run.json").unlink()
    assert rasched("resume", "out").code == 0
    assert (lost / "metrics.parquet").read_bytes() == before


def test_a_sweep_whose_jobs_are_alive_is_left_alone(rasched: Callable[..., Any], here: Path) -> None:
    from rasched.records.output_dir import lock_dir

    said = _sweep(here, "hydra/launcher=basic", "hydra.sweep.dir=out", "--runs-per-job", "3")
    (here / "out" / said["runs"][4]["folder"] / "run.json").unlink()
    with lock_dir(here / "out", shared=True), lock_dir(here / "out", shared=True):  # as two jobs hold it
        result = rasched("resume", "out")
        assert result.code == 2 and "is being worked on by another process" in result.err
    assert rasched("resume", "out").code == 0


@pytest.mark.parametrize("runs_per_job", [None, 2])
def test_a_job_that_starts_during_a_resume_changes_nothing(
    rasched: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch, runs_per_job: int | None
) -> None:
    from rasched.records import output_dir
    from rasched.runner import sweep

    monkeypatch.setattr(sweep, "lock_empty_dir", lambda folder, shared: output_dir.lock_empty_dir(folder))
    size = () if runs_per_job is None else ("--runs-per-job", str(runs_per_job))
    result = rasched("sweep", "seed=0,1", "steps=5", "hydra/launcher=basic", "hydra.sweep.dir=out", *size)
    assert result.code == 3
    assert not list((here / "out").rglob("metrics.*"))
