"""One run, one sweep: the files, the exit code, what is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

FILES = {".hydra", "metrics.parquet", "run.json"}


def _events(folder: Path) -> list[Path]:
    return list(folder.glob("events.out.tfevents.*"))


def _only(folder: Path, pattern: str = "outputs/*/*") -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_a_run_leaves_its_folder_and_a_panel(rasched: Callable[..., Any], here: Path) -> None:
    said = rasched("run", "steps=60", "rule=trend", "seed=3")
    assert said.code == 0, said.err
    folder = _only(here)
    assert {path.name for path in folder.iterdir()} >= FILES | {"checkpoint.pt", "lr_vs_reward.png"}
    assert len(_events(folder)) == 1
    for words in (
        "trend on gaussian, 60 steps: done",
        "mean reward",
        "regret",
        "learning rate",
        str(folder.relative_to(here)),
    ):
        assert words in said.out
    assert "rasched board" in said.out
    plain = " ".join(said.out.replace("│", " ").split())
    assert "rasched sweep rule=trend,none seeds=20 steps=60 " in plain
    assert plain.index("picture") < plain.index("output") < plain.index("mean reward")
    assert "constant rate" in plain and "one seed does not show which is better" in plain
    control = json.loads((folder / "control/run.json").read_text())
    assert (control["status"], control["seed"]) == ("done", 3)
    assert control["overrides"] == ["steps=60", "seed=3", "rule=none", "control=false"]
    assert control["scores"]["lr_min"] == control["scores"]["lr_max"] == pytest.approx(0.1)
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["exit_code"], record["seed"], record["steps"]) == ("done", 0, 3, 60)
    assert record["overrides"] == ["steps=60", "rule=trend", "seed=3"]
    assert {"torch", "numpy", "python"} <= record["versions"].keys()
    assert record["wall_time"] > 0
    assert {"commit", "dirty", "diff"} <= record["git"].keys()
    assert {"reward_last_tenth", "regret_total", "lr_first", "lr_last"} <= record["scores"].keys()
    assert yaml.safe_load((folder / ".hydra/config.yaml").read_text())["rule"]["name"] == "trend"
    assert yaml.safe_load((folder / ".hydra/overrides.yaml").read_text()) == record["overrides"]
    hydra = yaml.safe_load((folder / ".hydra/hydra.yaml").read_text())["hydra"]
    assert hydra["runtime"]["output_dir"] == str(folder)
    metrics = pl.read_parquet(folder / "metrics.parquet")
    assert metrics["step"].to_list() == list(range(1, 61))


def test_json_is_all_that_stands_on_stdout(rasched: Callable[..., Any], here: Path) -> None:
    said = rasched("run", "--json", "steps=20", "logger.plot=false")
    assert said.code == 0
    assert said.json["status"] == "done"
    assert Path(said.json["folder"]) == _only(here)
    assert said.json["scores"]["lr_first"] == pytest.approx(0.1)
    assert not (_only(here) / "lr_vs_reward.png").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(rasched: Callable[..., Any], here: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert rasched("run", "steps=50", f"seed={seed}", f"hydra.run.dir={name}", "logger.plot=false").code == 0
    a, b, c = ((here / name / "metrics.parquet").read_bytes() for name in "abc")
    assert a == b != c


def test_no_run_writes_over_another(rasched: Callable[..., Any], here: Path) -> None:
    for _ in range(3):  # in one second, or two
        assert rasched("run", "steps=5", "logger.plot=false", "hydra.run.dir=${now:kept}").code == 0
    assert sorted(path.name for path in here.iterdir()) == ["kept", "kept_1", "kept_2"]
    before = (here / "kept/run.json").read_bytes()
    said = rasched("run", "steps=5", "hydra.run.dir=kept")
    assert said.code == 2
    assert "kept is not empty" in said.err
    assert (here / "kept/run.json").read_bytes() == before


def test_a_sweep_leaves_a_whole_folder_a_job_and_an_index(rasched: Callable[..., Any], here: Path) -> None:
    said = rasched("run", "-m", "rule=scaling,trend,variance,kelly,none", "seed=range(0,3)", "steps=40")
    assert said.code == 0, said.err
    sweep = _only(here)
    folders = sorted(path for path in sweep.iterdir() if path.is_dir() and path.name != "_summary")
    assert len(folders) == 15
    for folder in folders:
        assert {path.name for path in folder.iterdir()} >= FILES
        assert len(_events(folder)) == 1
        assert json.loads((folder / "run.json").read_text())["status"] == "done"
    index = json.loads((sweep / "sweep.json").read_text())
    assert (index["status"], index["exit_code"], len(index["runs"])) == ("done", 0, 15)
    assert index["runs"][4]["overrides"] == ["rule=trend", "seed=1", "steps=40"]
    assert index["runs"][4]["folder"] == "4_trend,s1"
    assert (
        index["runs"][4]["scores"]
        == json.loads((sweep / index["runs"][4]["folder"] / "run.json").read_text())["scores"]
    )
    assert (sweep / "multirun.yaml").exists()
    assert "variance" in said.out and "95% CI" in said.out and "difference from rule=none" in said.out


def test_a_run_of_a_sweep_has_the_settings_of_the_run_alone(rasched: Callable[..., Any], here: Path) -> None:
    assert rasched("run", "-m", "rule=kelly,trend", "seed=4,5", "steps=30", "hydra.sweep.dir=many").code == 0
    assert rasched("run", "rule=trend", "seed=4", "steps=30", "hydra.run.dir=one", "logger.plot=false").code == 0
    inside = _only(here, "many/2_*")
    for name in ("config", "overrides"):
        one, many = (folder / ".hydra" / f"{name}.yaml" for folder in (here / "one", inside))
        assert (
            yaml.safe_load(many.read_text())
            == yaml.safe_load(one.read_text())
            | ({"logger": yaml.safe_load(many.read_text())["logger"]} if name == "config" else {})
            if name == "config"
            else True
        )
    one, many = (pl.read_parquet(folder / "metrics.parquet") for folder in (here / "one", inside))
    assert one.columns == many.columns
    assert one["train/reward"].to_list() == pytest.approx(many["train/reward"].to_list())
    assert one["train/lr"].to_list() == pytest.approx(many["train/lr"].to_list())


def test_hydras_basic_launcher_gives_the_same_table(rasched: Callable[..., Any], here: Path) -> None:
    words = ("run", "-m", "--json", "rule=kelly,none", "seed=0,1", "steps=30")
    stacked = rasched(*words, "hydra.sweep.dir=stacked").json
    basic = rasched(*words, "hydra.sweep.dir=basic", "hydra/launcher=basic", "hydra/hydra_logging=none").json
    assert stacked["exit_code"] == basic["exit_code"] == 0
    for a, b in zip(stacked["runs"], basic["runs"], strict=True):
        assert (a["overrides"], a["folder"], a["status"]) == (b["overrides"], b["folder"], b["status"])
        assert a["scores"] == pytest.approx(b["scores"])


@pytest.mark.parametrize("launcher", ["batched", "basic"])
def test_a_run_that_fails_costs_its_neighbours_nothing_and_the_sweep_exits_3(
    rasched: Callable[..., Any], here: Path, launcher: str
) -> None:
    said = rasched(
        "run", "-m", "--json", "env.mean=0.0,1e308", "env.reward_std=1e308", "steps=30", "signal=raw",
        f"hydra/launcher={launcher}", "hydra/hydra_logging=none",
    )  # fmt: skip
    assert said.code == 3
    good, bad = said.json["runs"]
    assert good["status"] in ("done", "failed")
    assert (bad["status"], bad["exit_code"]) == ("failed", 3)
    assert "not finite" in bad["error"] or "became" in bad["error"]


def test_a_failed_run_exits_3_and_says_why(rasched: Callable[..., Any], here: Path) -> None:
    said = rasched("run", "env.mean=1e308", "env.reward_std=1e308", "signal=raw", "steps=200")
    assert said.code == 3
    assert said.err.startswith("rasched: the run failed: ")
    record = json.loads((_only(here) / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("failed", 3)
    assert record["error"] in said.err
    assert pl.read_parquet(_only(here) / "metrics.parquet").height > 0


def test_what_hydra_shows_it_shows(rasched: Callable[..., Any], here: Path) -> None:
    shown = rasched("run", "--cfg", "job", "rule=trend")
    assert shown.code == 0
    assert yaml.safe_load(shown.out)["rule"] == {"name": "trend", "up": 1.05, "down": 0.95}
    assert "up: 1.05" in rasched("run", "-c", "job", "-p", "rule", "rule=trend").out
    assert "optimizer/sgd" in rasched("run", "--info", "defaults").out
    assert "--multirun" in rasched("run", "--hydra-help").out
    assert list(here.iterdir()) == []


def test_the_mode_of_hydra_is_a_sweep_too(rasched: Callable[..., Any], here: Path) -> None:
    said = rasched("run", "--json", "hydra.mode=MULTIRUN", "seed=0,1", "steps=5")
    assert said.code == 0
    assert [run["seed"] for run in said.json["runs"]] == [0, 1]


def test_pictures_of_a_sweep_are_drawn_when_asked_for(rasched: Callable[..., Any], here: Path) -> None:
    assert rasched("run", "-m", "seed=0,1", "steps=20").code == 0
    assert rasched("plot", "--kind", "runs").code == 0
    assert len(list(here.glob("outputs/*/*/*/lr_vs_reward.png"))) == 2
