"""Studies over base learning rates: the runs are those of the command line, and the READMEs agree with the data."""

from pathlib import Path

import polars as pl
import pytest

from rasched.compose.composer import Composer
from rasched.compose.jobs import JobComposer
from rasched.compose.settings import run_settings
from rasched.errors import UsageError
from rasched.runner.progress import ProgressReporter
from rasched.runner.robustness import RobustnessStudy, is_robustness_study, run_robustness
from rasched.runner.study import studies_dir
from tests.run_factories import columns_of

STUDY = """
question: Does it work?
methods:
  constant: [rule=none]
  kelly: [rule=kelly]
tasks:
  bandit:
    overrides: [env=gaussian, signal=raw, steps=30]
    metric: train/regret
    chance: 1.5
    best: 0.0
    lrs: [0.1, 1.0]
    constant_lrs: [0.3]
    role: tuning
    seeds: 3
    small: {seeds: 2, overrides: [env=gaussian, signal=raw, steps=10]}
  other:
    overrides: [env=bernoulli, signal=raw, steps=10]
    metric: train/regret
    chance: 0.4
    best: 0.0
    lrs: [1.0]
    role: held-out
    seeds: 2
    without: [kelly]
"""


@pytest.fixture
def study(tmp_path: Path) -> RobustnessStudy:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    assert is_robustness_study(path)
    return RobustnessStudy.load(path)


def test_a_score_is_the_scaled_mean_of_the_run_of_the_command_line(study: RobustnessStudy) -> None:
    composer = Composer.open()
    frame = run_robustness(study.restricted(["bandit"]), composer, ProgressReporter())
    assert frame.group_by("method", "lr").len().sort("method", "lr").rows() == [
        *(("constant", 0.1, 3), ("constant", 0.3, 3), ("constant", 1.0, 3)),
        *(("kelly", 0.1, 3), ("kelly", 1.0, 3)),
    ]
    words = ["env=gaussian", "signal=raw", "steps=30", "rule=kelly", "optimizer.lr=1.0", "seed=2"]
    run = run_settings(JobComposer(composer, []).compose(words, 0).config)
    regret = columns_of([run], batched=True)["train/regret"][:, 0]
    row = frame.filter((pl.col("method") == "kelly") & (pl.col("lr") == 1.0) & (pl.col("seed") == 2))
    assert row["score"][0] == round((float(regret.mean()) - 1.5) / (0.0 - 1.5), 4)
    assert not frame["failed"].any()


def test_a_method_that_a_task_cannot_serve_is_left_out(study: RobustnessStudy) -> None:
    frame = run_robustness(study, Composer.open(), ProgressReporter())
    assert frame.filter(pl.col("task") == "other")["method"].unique().to_list() == ["constant"]


def test_the_small_form_has_fewer_tasks_seeds_and_steps(study: RobustnessStudy) -> None:
    small = study.reduced()
    assert list(small.tasks) == ["bandit"] and small.tasks["bandit"].seeds == 2
    assert "steps=10" in small.tasks["bandit"].overrides


def test_it_can_be_restricted_to_tasks_methods_and_seeds(study: RobustnessStudy) -> None:
    few = study.restricted(["bandit"], ["constant"], 1)
    assert (list(few.tasks), list(few.methods), few.tasks["bandit"].seeds) == (["bandit"], ["constant"], 1)
    assert list(study.restricted(methods=["kelly"]).methods) == ["constant", "kelly"]
    with pytest.raises(UsageError, match="method 'kely' is unknown; known methods: constant, kelly"):
        study.restricted(methods=["kely"])
    with pytest.raises(UsageError, match="seeds must be at least 1, got 0"):
        study.restricted(seeds=0)


def test_an_unknown_task_or_a_missing_reference_is_named(study: RobustnessStudy, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="task 'bandits' is unknown; known tasks: bandit, other"):
        study.restricted(["bandits"])
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("constant: [rule=none]", "fixed: [rule=none]"))
    with pytest.raises(UsageError, match="'constant'"):
        RobustnessStudy.load(path)


ROBUSTNESS = studies_dir() / "robustness"


def test_every_task_and_method_of_the_robustness_study_can_be_composed() -> None:
    study, jobs = RobustnessStudy.load(ROBUSTNESS / "study.yaml"), JobComposer(Composer.open(), [])
    agents = set[str]()
    for task in study.tasks.values():
        agent = next((o for o in task.overrides if o.startswith("agent=")), "")
        # every task, and every method with the first task of each agent: all pairs would take half a minute
        methods = study.methods if agent not in agents else dict([*study.methods.items()][:1])
        agents.add(agent)
        for method, overrides in methods.items():
            if method not in task.without:
                assert run_settings(jobs.compose([*task.overrides, *overrides], 0).config).steps > 0
        assert task.role in ("tuning", "held-out")
        assert set(task.without) <= set(study.methods)
