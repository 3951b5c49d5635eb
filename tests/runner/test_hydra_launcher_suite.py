"""Hydra's own suite for launchers, on the launcher that trains jobs in batches.

The suite launches applications of its own, with settings such as ``foo`` and a task that returns 100. Our launcher
trains only rasched's runs, so the cases that need a job to run cannot apply as they are: they must end with the
sentence that says so. What they demand of jobs (overrides, configuration, names, folders, return values) is tested
below with runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.test_utils.launcher_common_tests import LauncherTestSuite
from hydra.test_utils.test_utils import verify_dir_outputs
from omegaconf import OmegaConf

from rasched.compose import plugins
from rasched.compose.composer import Composer
from rasched.compose.hydra_compat import make_hydra
from rasched.records.run_json import read_record
from rasched.runner.hydra_launchers import LauncherTask, run_job

FORCED = "hydra.launcher._target_=hydra_plugins.rasched.BatchedLauncher"  # our choice batched is in conf/ only
# Cases of the suite that run a job of another application, so that our launcher must refuse them.
REFUSED = {
    "test_sweep_1_job": "its configuration has no rule, env or agent",
    "test_sweep_1_job_strict": "the same",
    "test_sweep_2_jobs": "the same, with +a=0,1",
    "test_sweep_2_optimizers": "the same, with a group of its own",
    "test_sweep_over_unspecified_mandatory_default": "the same, with a group that has no default",
    "test_sweep_and_override": "its configuration is that of a database",
    "test_sweep_with_custom_resolver": "its task returns a string; a run returns its score",
}


@pytest.fixture(autouse=True)
def _registered(hydra_restore_singletons: Any) -> Iterator[None]:
    GlobalHydra.instance().clear()  # a test before may have composed
    plugins.register()
    yield


@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", [FORCED])])
class TestHydrasSuite(LauncherTestSuite):
    """The cases that apply as they are: what is refused before a job runs."""


for _name in REFUSED:
    setattr(TestHydrasSuite, _name, None)


@pytest.mark.parametrize("name", REFUSED)
def test_another_applications_job_is_refused_in_one_sentence(name: str, hydra_sweep_runner: Any, tmpdir: Any) -> None:
    case = getattr(LauncherTestSuite(), name)
    with pytest.raises(HydraException, match="batched trains only rasched's own runs; choose another"):
        case(hydra_sweep_runner, "basic", [FORCED], tmpdir)


def test_each_case_of_the_suite_is_run_or_listed() -> None:
    cases = {name for name, _ in inspect.getmembers(LauncherTestSuite) if name.startswith("test_")}
    assert cases - set(REFUSED) == {"test_not_sweeping_hydra_overrides", "test_sweep_1_job_strict_and_bad_key"}
    assert set(REFUSED) < cases


def _multirun(lines: Sequence[str], folder: Path) -> Sequence[JobReturn]:
    """Let Hydra's basic sweeper launch runs, as the runner of its suite does."""
    settings = [
        *lines,
        "hydra/launcher=batched",
        "steps=20",
        f"hydra.sweep.dir={folder}",
        "hydra.sweep.subdir=${hydra.job.num}",
    ]
    try:
        return list(make_hydra(Composer.open().loader).multirun("config", LauncherTask(run_job), settings)[0])
    finally:
        GlobalHydra.instance().clear()


def test_jobs_have_the_overrides_the_configuration_and_the_folders_that_hydra_demands(tmp_path: Path) -> None:
    jobs = _multirun(["optimizer=sgd,adam", "seed=3,4"], tmp_path)
    expected = [[f"optimizer={name}", f"seed={seed}"] for name in ("sgd", "adam") for seed in (3, 4)]
    assert [job.overrides[:2] for job in jobs] == expected
    multirun = OmegaConf.load(tmp_path / "multirun.yaml")
    assert list(multirun.hydra.overrides.task) == ["optimizer=sgd,adam", "seed=3,4", "steps=20"]
    for num, job in enumerate(jobs):
        assert job.cfg is not None and job.hydra_cfg is not None
        assert (job.cfg.optimizer.name, job.cfg.seed) == (expected[num][0].partition("=")[2], 3 + num % 2)
        assert job.hydra_cfg.hydra.job.name == "rasched" and job.hydra_cfg.hydra.job.num == num
        assert job.working_dir == str(tmp_path / str(num))
        # the suite also wants NAME.log, which we do not write: a run reports by its records (job_logging=none)
        (tmp_path / str(num) / "rasched.log").touch()
        verify_dir_outputs(job, job.overrides)
        assert OmegaConf.load(tmp_path / str(num) / ".hydra" / "config.yaml") == job.cfg


def test_jobs_return_the_score_of_their_run(tmp_path: Path) -> None:
    for job in _multirun(["seed=0,1"], tmp_path):
        assert job.status is JobStatus.COMPLETED
        assert job.return_value == read_record(Path(str(job.working_dir)))["scores"]["reward_last_tenth"]
