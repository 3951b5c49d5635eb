"""Sweeps: the same bytes whatever surrounds a run, failures that stay where they are, and seeds shown together."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from rasched.records.tensorboard.tags import band_tags

MIXED = ("rule=kelly,trend", "optimizer.lr=0.1,0.4", "seed=range(0,3)", "steps=120")
FRAGILE = '''
from dataclasses import dataclass
import torch
from rasched import Rule


@dataclass(slots=True)
class Fragile(Rule):
    """Raise at the third reward of the run whose `at` is 1; lose the rate of the one whose `at` is 2."""

    at: float = 0.0
    _seen: float = 0.0

    def observe(self, signal):
        self._seen = self._seen + 1
        if bool(torch.as_tensor(self.at).eq(1).any()) and bool(torch.as_tensor(self._seen).ge(3).any()):
            raise ArithmeticError("too brittle")

    def next_lr(self, lr, base_lr):
        return torch.where(torch.as_tensor(self.at) == 2, torch.nan, torch.as_tensor(lr))
'''


def metrics(sweep: Path) -> dict[tuple[str, ...], bytes]:
    """Return each run's table by its settings, whatever its number in the sweep."""
    found = {}
    for record in sweep.glob("*/run.json"):
        said = json.loads(record.read_text())
        found[tuple(sorted(said["overrides"]))] = (record.parent / "metrics.parquet").read_bytes()
    return found


@pytest.fixture
def fragile(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "fragile.py").write_text(FRAGILE)
    (folder / "rule").mkdir()
    (folder / "rule/fragile.yaml").write_text("_target_: fragile.Fragile\nat: 0.0\n")
    monkeypatch.syspath_prepend(folder)
    return folder


def test_sweep_is_run_m_in_any_number_of_processes(rasched: Callable[..., Any], here: Path) -> None:
    told = [
        rasched("run", "-m", "--json", *MIXED, "hydra.sweep.dir=m").json,
        rasched("sweep", "--json", *MIXED, "hydra.sweep.dir=s").json,
        rasched("sweep", "--json", "-j", "2", *MIXED, "hydra.sweep.dir=j").json,
    ]
    assert metrics(here / "m") == metrics(here / "s") == metrics(here / "j")
    assert len(metrics(here / "m")) == 12
    assert told[0]["table"] == told[1]["table"] == told[2]["table"]


def test_a_run_has_the_same_bytes_and_files_in_every_sweep(rasched: Callable[..., Any], here: Path) -> None:
    def sweep(name: str, *words: str) -> dict[tuple[str, ...], bytes]:
        assert rasched("sweep", *words, "steps=120", f"hydra.sweep.dir={name}").code == 0
        return metrics(here / name)

    rules = ["rule=kelly", "rule=scaling", "rule=trend", "rule=variance", "rule=none"]
    alone = {k: v for rule in rules for k, v in sweep(f"alone_{rule[5:]}", rule, "seed=5", "optimizer.lr=0.3").items()}
    many = sweep("many", "seed=range(0,8)", "optimizer.lr=0.3,0.2", "rule=none,variance,trend,scaling,kelly")
    back = sweep("back", "rule=kelly,trend,scaling,none,variance", "optimizer.lr=0.3", "seed=9,5,2")
    assert len(alone) == 5 and len(many) == 80 and len(back) == 15
    for run, table in alone.items():
        assert many[run] == table == back[run]
    folders = [{path.name.split(".")[0] for path in record.parent.iterdir()} for record in here.glob("*/*/run.json")]
    folders = [names - {"policy"} for names in folders]  # only the best run of each sweep has one
    assert all(names == folders[0] for names in folders)


def test_a_dry_run_lists_jobs_and_batches_and_writes_nothing(rasched: Callable[..., Any], here: Path) -> None:
    words = ("sweep", "--dry-run", "rule=kelly,trend", "optimizer=sgd,asgd", "seed=1,2", "steps=10")
    said = rasched(*words)
    assert said.code == 0
    assert "batch 0   rule=kelly optimizer=sgd seed=1 steps=10" in said.out
    assert "8 runs in 5 batches of at most 4, 1 process" in said.out
    assert "not batched: 4 runs: optimizer asgd is not linear" in said.out
    told = rasched(*words, "--json").json
    assert [batch["runs"] for batch in told["batches"]].count(1) == 4
    assert told["jobs"][0] == {
        "overrides": ["rule=kelly", "optimizer=sgd", "seed=1", "steps=10"],
        "folder": "0_kelly,optimizer=sgd,s1",
        "batch": 0,
    }
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_one_run_that_raises_and_one_that_diverges_leave_the_others_good(
    rasched: Callable[..., Any], here: Path, fragile: Path, processes: int
) -> None:
    words = ("--config-dir", str(fragile), "rule=fragile", "steps=40", "-j", str(processes))
    said = rasched("sweep", "--json", "rule.at=range(0,200)", *words)
    assert said.code == 3
    rows = {row["overrides"][0]: row for row in said.json["runs"]}
    raised, diverged = rows.pop("rule.at=1"), rows.pop("rule.at=2")
    assert (raised["status"], raised["exit_code"]) == (diverged["status"], diverged["exit_code"]) == ("failed", 3)
    assert raised["error"].startswith("ArithmeticError: too brittle (fragile.py, line ")
    assert diverged["error"].startswith("the loss became nan")
    assert len(rows) == 198 and all(row["status"] == "done" and row["steps"] == 40 for row in rows.values())
    lines = sorted(line for line in said.err.splitlines() if line.startswith("failed: "))
    assert len(lines) == 2
    assert "rule.at=1 " in lines[0] and "too brittle" in lines[0]


def test_a_sweep_with_a_wrong_job_says_which_before_anything_runs(rasched: Callable[..., Any], here: Path) -> None:
    for words, sentence in {
        ("rule=kelly,kely",): "rule 'kely' is unknown",
        ("rule.gain=0.1,0.2,2",): "job 2 (rule.gain=2): rule.gain must be in (0, 1), got 2",
        ("seed=range(0,3)", "optimizer.mometum=0.1"): "optimizer.mometum is unknown",
        ("rule=kelly,trend", "rule.gain=0.1"): "rule.gain is unknown; settings of rule=trend",
        ("seed=range(0,3)", "--runs-per-job", "2"): "--runs-per-job goes with another launcher's jobs",
    }.items():
        said = rasched("sweep", *words)
        assert said.code == 2
        assert sentence in said.err
    assert list(here.iterdir()) == []


def test_the_table_has_a_row_per_variant_over_its_seeds(rasched: Callable[..., Any], here: Path) -> None:
    told = rasched("sweep", "--json", *MIXED).json
    assert {(row["variant"]["rule"], row["variant"]["optimizer.lr"], row["runs"]) for row in told["table"]} == {
        ("kelly", 0.1, 3),
        ("kelly", 0.4, 3),
        ("trend", 0.1, 3),
        ("trend", 0.4, 3),
    }
    assert [row["iqm"] for row in told["table"]] == sorted((row["iqm"] for row in told["table"]), reverse=True)
    for row in told["table"]:
        assert row["low"] <= row["iqm"] <= row["high"]


def test_seeds_are_one_band_in_tensorboard(rasched: Callable[..., Any], here: Path) -> None:
    import polars as pl
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert rasched("sweep", *MIXED, "hydra.sweep.dir=out").code == 0
    bands = sorted((here / "out/_summary").glob("*/"))
    assert [band.name for band in bands] == [f"{rule} lr={lr}" for rule in ("kelly", "trend") for lr in (0.1, 0.4)]
    events = EventAccumulator(str(bands[0])).Reload()
    tables = [pl.read_parquet(here / f"out/{n}_kelly,lr=0.1,s{n}/metrics.parquet") for n in range(3)]
    for column in ("train/reward", "train/lr"):
        is_rate = column == "train/lr"
        values = pl.DataFrame([table[column].alias(str(n)) for n, table in enumerate(tables)])
        values = values.select(pl.all().log()) if is_rate else values
        mean = values.mean_horizontal()
        spread = values.select(pl.concat_list(pl.all()).list.std()).to_series()
        for tag, sign in zip(band_tags(column), (0, -1, 1), strict=True):
            curve = mean + sign * 1.96 * spread / 3**0.5
            found = [event.value for event in events.Scalars(tag)]
            assert found == pytest.approx((curve.exp() if is_rate else curve).to_list(), rel=1e-5)
            assert not is_rate or min(found) > 0
    assert [event.value for event in events.Scalars("whole_run/seeds")] == [3.0]
    whole = EventAccumulator(str(here / "out/_summary")).Reload()
    assert "custom_scalars__config__" in whole.Tags()["tensors"]
    content = HParamsPluginData.FromString(whole.PluginTagToContent("hparams")["_hparams_/experiment"])
    metrics = [(info.name.tag, info.display_name) for info in content.experiment.metric_infos]
    assert metrics[:2] == [("whole_run/reward_last_tenth", "reward_last_tenth"), ("whole_run/seeds", "seeds")]
    (session,) = (value for tag, value in events.PluginTagToContent("hparams").items() if "session_start" in tag)
    assert HParamsPluginData.FromString(session).session_start_info.hparams["rule"].string_value == "kelly"


@pytest.mark.parametrize(("num_seeds", "opened"), [(19, "out"), (20, "out/_summary")])
def test_board_opens_the_summary_of_a_sweep_with_more_runs_than_tensorboard_ticks(
    rasched: Callable[..., Any], here: Path, monkeypatch: pytest.MonkeyPatch, num_seeds: int, opened: str
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda path, words: started.append(words))
    assert rasched("sweep", f"seeds={num_seeds}", "rule=kelly,none", "steps=5", "hydra.sweep.dir=out").code == 0
    said = rasched("board", "out", "--port", "7007")
    assert said.code == 0 and ("tensorboard --logdir out" in said.out) == (opened != "out")
    assert started[0][-4:] == ["--logdir", opened, "--port", "7007"]


def test_what_all_jobs_share_is_not_in_their_folders_names(rasched: Callable[..., Any], here: Path) -> None:
    words = ("rule=kelly,none", "optimizer.lr=0.1,0.2", "seeds=2", "steps=5", "env.arms=3")
    rasched("sweep", *words, "hydra.sweep.dir=ours")
    rasched("sweep", *words, "hydra.sweep.dir=basic", "hydra/launcher=basic")
    ours, basic = (sorted(path.parent.name for path in here.glob(f"{name}/*/run.json")) for name in ("ours", "basic"))
    assert ours == basic
    assert ours[:3] == ["0_kelly,lr=0.1,s0", "1_kelly,lr=0.1,s1", "2_kelly,lr=0.2,s0"]


def test_the_bands_of_runs_just_trained_are_those_of_runs_read_back(rasched: Callable[..., Any], here: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def bands() -> dict[tuple[str, str], list[tuple[int, float]]]:
        found = {}
        for folder in sorted((here / "out/_summary").glob("*/")):
            events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
            for tag in (tag for tag in events.Tags()["scalars"] if not tag.startswith("whole_run/")):
                found[folder.name, tag] = [(event.step, event.value) for event in events.Scalars(tag)]
        return found

    assert rasched("sweep", "rule=kelly,none", "seed=0,1", "steps=30,450", "hydra.sweep.dir=out").code == 0
    trained = bands()
    assert len(trained) == 4 * 2 * 3 and {len(curve) for curve in trained.values()} == {30, 150}
    assert rasched("resume", "out").code == 0  # trains nothing, and draws all
    assert bands() == trained


def test_basic_and_stacked_launchers_give_the_same_tables(rasched: Callable[..., Any], here: Path) -> None:
    words = ("sweep", "--json", "rule=kelly,trend", "optimizer.lr=0.1,0.4", "steps=60")
    stacked = rasched(*words, "hydra.sweep.dir=a").json
    basic = rasched(*words, "hydra.sweep.dir=b", "hydra/launcher=basic", "hydra/hydra_logging=none").json
    _alike(stacked["table"], basic["table"])
    for name in ("config", "overrides"):
        texts = [
            sorted(repr(yaml.safe_load(path.read_text())) for path in here.glob(f"{sweep}/*/.hydra/{name}.yaml"))
            for sweep in "ab"
        ]
        assert texts[0] == texts[1]


def _alike(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> None:
    for one, other in zip(a, b, strict=True):
        assert one.pop("variant") == other.pop("variant")
        assert (one.pop("vs_baseline") or {}) == pytest.approx(other.pop("vs_baseline") or {})
        assert one == pytest.approx(other)
