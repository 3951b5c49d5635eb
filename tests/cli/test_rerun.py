"""``rasched rerun``: the same run from its record, into a new folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Rasched = Callable[..., Any]
RUN = ("run", "steps=60", "control=false", "logger.plot=false", "hydra.run.dir=one")


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    content.pop("crc32", None)
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def one(rasched: Rasched, here: Path) -> Path:
    assert rasched(*RUN, "rule=trend", "optimizer.lr=0.3", "seed=4").code == 0
    return here / "one"


def test_a_run_gives_the_same_bytes_again(rasched: Rasched, here: Path, one: Path) -> None:
    before = {path: path.read_bytes() for path in one.rglob("*") if path.is_file()}
    result = rasched("rerun", "one", "-o", "again")
    assert result.code == 0 and "one again in again: done" in result.out
    assert "the numbers agree to the byte (60 rows)" in result.out
    assert (here / "again/metrics.parquet").read_bytes() == (one / "metrics.parquet").read_bytes()
    assert {path: path.read_bytes() for path in one.rglob("*") if path.is_file()} == before
    assert rasched("diff", "one", "again").code == 0
    assert rasched("rerun", "again", "-o", "third", "--json").json["is_identical"]
    taken = rasched("rerun", "one", "-o", "again")
    assert taken.code == 2 and "again is not empty" in taken.err


def test_a_run_of_a_sweep_gives_the_same_bytes_after_its_folder_was_moved(rasched: Rasched, here: Path) -> None:
    words = ("sweep", "agent=a2c", "rule=kelly,none", "seed=0,1", "steps=200", "hydra.sweep.dir=out", "-j", "1")
    assert rasched(*words).code == 0
    (folder,) = here.glob("out/1_*")
    shutil.move(folder, here / "alone")
    result = rasched("rerun", "alone").out
    assert "the numbers agree to the byte" in result and "alone again in outputs/" in result
    sweep = rasched("rerun", "out")
    assert sweep.code == 2 and "out is a sweep: name one of its runs, as in rasched rerun out/0_" in sweep.err


def test_the_first_row_that_differs_is_named(rasched: Rasched, here: Path, one: Path) -> None:
    table = pl.read_parquet(one / "metrics.parquet")
    reward = pl.when(pl.col("step") >= 20).then(pl.col("train/reward") + 1).otherwise(pl.col("train/reward"))
    table.with_columns(reward.alias("train/reward")).write_parquet(one / "metrics.parquet")
    edit(one / "run.json", lambda record: record.pop("metrics_crc32"))
    edit(one / "run.json", lambda record: record["versions"].update(torch="0.1"))
    result = rasched("rerun", "one", "--json")
    assert result.code == 3 and not result.json["is_identical"] and result.json["num_equal_rows"] == 19
    assert result.json["first_difference"].startswith("step 20, row 20 of 60: train/reward was ")
    (difference,) = result.json["differences"]
    assert difference.startswith('versions: torch was "0.1" and is "')


def test_a_run_that_was_stopped_is_compared_as_far_as_it_came(rasched: Rasched, here: Path, one: Path) -> None:
    pl.read_parquet(one / "metrics.parquet").head(30).write_parquet(one / "metrics.parquet")
    edit(one / "run.json", lambda record: record.pop("metrics_crc32"))
    result = rasched("rerun", "one")
    assert result.code == 3 and "the first 30 rows agree; one of the two has more" in result.out
    assert "settings, versions, commit and machine are the same" in result.out


def test_settings_that_were_changed_are_used_and_named(rasched: Rasched, here: Path, one: Path) -> None:
    path = one / ".hydra/config.yaml"
    path.write_text(path.read_text().replace("seed: 4", "seed: 5"))
    result = rasched("rerun", "one", "-o", "again")
    assert result.code == 3 and "the numbers do not agree: step 1, row 1 of 60" in result.out
    assert "different settings: .hydra/config.yaml is not what run.json was written for" in result.out


def test_nothing_that_the_record_names_is_imported(rasched: Rasched, here: Path, one: Path) -> None:
    path = one / ".hydra/config.yaml"
    path.write_text(path.read_text().replace("name: trend", "_target_: evil_module.Evil"))
    result = rasched("rerun", "one", "-o", "again")
    assert result.code == 2 and "one imports code of its own (rule._target_=evil_module.Evil); if you" in result.err
    assert not (here / "again").exists()
    trusted = rasched("rerun", "one", "-o", "again", "--trust")
    assert trusted.code == 2 and "rule._target_=evil_module.Evil cannot be imported" in trusted.err


@pytest.mark.parametrize("text", ["", "[]", "rule: {", "rule: ${nothing}"])
def test_settings_that_cannot_be_read_are_one_sentence(rasched: Rasched, here: Path, one: Path, text: str) -> None:
    (one / ".hydra/config.yaml").write_text(text)
    result = rasched("rerun", "one")
    assert result.code == 2 and len(result.err.splitlines()) == 1, result.err


def test_a_folder_without_a_run_is_one_sentence(rasched: Rasched, here: Path) -> None:
    (here / "empty").mkdir()
    empty, missing = rasched("rerun", "empty"), rasched("rerun", "nothing")
    assert empty.code == 2 and "empty is not the folder of a run: run.json cannot be read" in empty.err
    assert missing.code == 2 and "there is no folder nothing" in missing.err
