"""Laws of studies: they train the same runs as the command line does, and add them up rightly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rasched.analysis.statistics import bootstrap_ci
from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings
from rasched.errors import UsageError
from rasched.records.scores import last_tenth, mean
from rasched.runner.progress import ProgressReporter
from rasched.runner.robustness import is_robustness_study
from rasched.runner.study import Study, run_study, studies_dir, to_table
from tests.run_factories import train_runs

STUDY = Study(
    question="Does it add up?",
    overrides=("optimizer.lr=0.1,0.4", "agent.baseline=false", "rule=none", "steps=40"),
    seeds=5,
    metric="train/reward",
    ylabel="reward",
)


def test_a_study_result_is_the_mean_of_the_runs_it_names() -> None:
    composer = Composer.open()
    results = run_study(STUDY, composer, ProgressReporter())
    assert [result.variant for result in results] == ["optimizer.lr=0.1", "optimizer.lr=0.4"]
    job = JobComposer(composer, []).compose(["optimizer.lr=0.4", "agent.baseline=false", "rule=none", "steps=40"], 0)
    curves = []
    for seed in range(5):
        rewards: list[Any] = []
        run = replace(run_settings(job.config), seed=seed)
        train_runs([run], lambda step, columns, rewards=rewards: rewards.append(columns["train/reward"]))
        curves.append(rewards)
    alone = np.array(curves).T
    found = results[1]
    np.testing.assert_allclose(found.mean, alone.mean(1), rtol=1e-9)
    np.testing.assert_allclose(found.half_width, 1.96 * alone.std(1, ddof=1) / 5**0.5, rtol=1e-9)
    scores = mean(last_tenth(alone))
    np.testing.assert_allclose([found.score, found.low, found.high], [scores.mean(), *bootstrap_ci(scores)], rtol=1e-9)
    assert found.num_runs == 5


def test_the_table_has_the_ends_of_every_curve() -> None:
    results = to_table(run_study(STUDY, Composer.open(), ProgressReporter(), ["steps=250"]))
    for _, rows in results.group_by("setting"):
        assert len(rows) == 100 and rows["step"][0] == 1 and rows["step"][-1] == 250
        assert (rows["low"] <= rows["mean"]).all() and (rows["mean"] <= rows["high"]).all()


def test_an_unknown_study_lists_the_known() -> None:
    with pytest.raises(UsageError, match="known studies: .*testbed.*did you mean 'testbed'"):
        Study.load("testbeds")


def test_an_unknown_column_lists_the_columns() -> None:
    with pytest.raises(UsageError, match="train/optimal"):
        run_study(replace(STUDY, metric="train/regrets"), Composer.open(), ProgressReporter())


STUDIES = [path for path in sorted(studies_dir().glob("*/study.yaml")) if not is_robustness_study(path)]


@pytest.mark.parametrize("name", [path.parent.name for path in STUDIES])
def test_every_study_can_start(name: str) -> None:
    study = replace(Study.load(name), seeds=2)
    results = run_study(study, Composer.open(), ProgressReporter(), ["steps=3"])
    assert all(len(result.mean) == 3 for result in results)


def test_a_folder_of_the_users_own_is_a_study_too(tmp_path: Path) -> None:
    text = (studies_dir() / "testbed" / "study.yaml").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text(text.replace("seeds: 2000", "seeds: 7"))
    assert Study.load(str(tmp_path / "mine")).seeds == 7
    with pytest.raises(UsageError, match="study 'testbet' is unknown; .*did you mean 'testbed'.*needs a study.yaml"):
        Study.load("testbet")
