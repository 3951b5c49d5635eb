"""The trained policy: which runs keep it, and ``rasched eval``, which plays it on fresh seeds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rasched as package
from rasched.errors import UsageError

Rasched = Callable[..., Any]
SWEEP = ("sweep", "rule=none,kelly", "seed=range(0,3)", "steps=30", "hydra.sweep.dir=out")


def policies(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("**/policy.pt"))


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_sweep_keeps_the_policy_of_its_best_run(rasched: Rasched, here: Path, workers: str) -> None:
    result = rasched(*SWEEP, "optimizer=sgd,adam", "-j", workers, "--json").json
    done = {row["folder"]: row["scores"]["reward_last_tenth"] for row in result["runs"]}
    best = max(done, key=lambda folder: done[folder])
    assert policies(here / "out") == [best]
    assert result["best"]["policy"] == str(here / "out" / best / "policy.pt")
    assert torch.load(here / "out" / best / "policy.pt", weights_only=True)["agent"]["name"] == "reinforce"
    assert package.load("out").best().folder == Path("out") / best


def test_all_or_no_policies_can_be_kept_and_no_number_changes(rasched: Rasched, here: Path) -> None:
    metrics = []
    for mode, count in (("all", 6), ("none", 0)):
        assert rasched(*SWEEP[:-1], f"hydra.sweep.dir={mode}", f"logger.keep_policy={mode}", "-j", "1").code == 0
        assert len(policies(here / mode)) == count
        metrics.append({path.parent.name[0]: path.read_bytes() for path in here.glob(f"{mode}/*/metrics.parquet")})
    assert metrics[0] == metrics[1]
    missing = rasched("eval", "none")
    assert missing.code == 2 and "none holds no policy.pt: a sweep keeps that of its best run" in missing.err
    with pytest.raises(UsageError, match="holds no policy.pt"):
        package.load("none").policy()
    wrong = rasched(*SWEEP, "logger.keep_policy=some")
    assert wrong.code == 2 and "logger.keep_policy must be one of best, all, none, got 'some'" in wrong.err


def test_the_closing_table_names_the_best_run_and_its_policy(rasched: Rasched, here: Path) -> None:
    lines = rasched(*SWEEP, "-j", "1").out.splitlines()
    (name,) = policies(here / "out")
    assert any(line.startswith(f"best run out/{name}: ") and line.endswith(f"out/{name}/policy.pt") for line in lines)
    assert any("rasched eval out" in line for line in lines)


def test_eval_plays_a_run_and_the_best_of_a_sweep(rasched: Rasched, here: Path) -> None:
    assert rasched("run", "steps=400", "control=true", "logger.plot=false", "hydra.run.dir=one").code == 0
    result = rasched("eval", "one", "--episodes", "50", "--json").json
    returns = np.array(result["returns"])
    assert result["folder"] == str(here / "one") and returns.shape == (50,)
    assert result["low"] < result["mean"] == returns.mean() < result["high"]
    plain = rasched("eval", "one", "--episodes", "50")
    assert plain.code == 0 and f"mean reward {result['mean']:.4g} over 50 pulls with fresh random numbers" in plain.out
    assert rasched("eval", "one", "--episodes", "50", "--seed", "1", "--json").json["returns"] != result["returns"]
    assert rasched("eval", "one/control").code == 0
    assert isinstance(package.load("one").policy().act(), int)


def test_a_policy_of_a_damaged_file_is_a_sentence(rasched: Rasched, here: Path) -> None:
    assert rasched("run", "steps=10", "control=false", "logger.plot=false", "hydra.run.dir=one").code == 0
    path = here / "one/policy.pt"
    path.write_bytes(path.read_bytes()[:-40])
    result = rasched("eval", "one")
    assert result.code == 3 and "one/policy.pt cannot be read: its " in result.err


def test_the_code_that_a_policy_names_runs_only_if_trusted(
    rasched: Rasched, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine").mkdir()
    (here / "mine/my_bandit.py").write_text(
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from rasched.envs import GaussianBanditSettings\n"
        "Path('imported').touch()\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class MyBandit(GaussianBanditSettings):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(here / "mine")
    words = ("run", "+env._target_=my_bandit.MyBandit", "steps=10", "control=false", "logger.plot=false")
    assert rasched(*words, "hydra.run.dir=one").code == 0
    (here / "imported").unlink()
    monkeypatch.delitem(sys.modules, "my_bandit")
    refused = rasched("eval", "one")
    assert refused.code == 2 and "env._target_=my_bandit.MyBandit); if you trust it, add --trust" in refused.err
    assert not (here / "imported").exists()
    assert rasched("eval", "one", "--trust").code == 0
    assert (here / "imported").exists()


def test_eval_records_a_video(rasched: Rasched, here: Path) -> None:
    words = ("control=false", "logger.plot=false", "hydra.run.dir=one")
    env = ("agent=a2c", "env.module=tests.envs.gym_test_envs", "env.id=rasched-test/Painted-v0", "steps=20")
    assert rasched("run", *env, *words).code == 0
    result = rasched("eval", "one", "--video", "--trust", "--episodes", "2")
    assert result.code == 0 and "video one/eval.gif" in result.out
    assert (here / "one/eval.gif").read_bytes().startswith(b"GIF89a")


def test_what_cannot_be_recorded_is_a_sentence(rasched: Rasched, here: Path) -> None:
    assert rasched("run", "steps=10", "control=false", "logger.plot=false", "hydra.run.dir=one").code == 0
    result = rasched("eval", "one", "--video")
    assert result.code == 2 and "this environment cannot be rendered" in result.err
