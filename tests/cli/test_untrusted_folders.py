"""A folder may come from a stranger: nothing that it names is imported, and nothing outside it is written."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

Rasched = Callable[..., Any]
EVIL = "from pathlib import Path\nPath({path!r}).touch()\n"


@pytest.fixture
def module(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a module on the path whose import leaves a file; return the file."""
    trace = here / "imported"
    (here / "lib").mkdir()
    (here / "lib/evil_module.py").write_text(EVIL.format(path=str(trace)))
    monkeypatch.syspath_prepend(here / "lib")
    yield trace
    sys.modules.pop("evil_module", None)


@pytest.fixture
def sweep(rasched: Rasched, here: Path) -> Path:
    assert rasched("sweep", "seed=0,1", "steps=5", "hydra.sweep.dir=out", "-j", "1").code == 0
    for path in (here / "out").glob("0_*/run.json"):
        path.unlink()
    return here / "out"


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    content.pop("crc32", None)  # a stranger would write the right one
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name", ["../victim", "..", ".", "", "/tmp/victim", "0_seed=0,steps=5/../../victim", "a\0b", 3]
)
def test_a_run_outside_its_sweep_is_refused(rasched: Rasched, here: Path, sweep: Path, name: Any) -> None:
    (here / "victim").mkdir()
    (here / "victim/run.json").write_text("mine")
    _edit(sweep / "sweep.json", lambda index: index["runs"][0].update(folder=name))
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    result = rasched("resume", "out")
    assert result.code == 2 and "names a run outside its folder" in result.err
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before


@pytest.mark.parametrize("name", ["run.json", ".run.json.1", "checkpoint.pt.new", ".hydra/config.yaml", ""])
def test_nothing_is_written_through_a_link(rasched: Rasched, here: Path, sweep: Path, name: str) -> None:
    (here / "victim").mkdir()
    (here / "victim/file").write_text("mine")
    run = next(sweep.glob("0_*"))
    if name:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(here / "victim/file")
    else:
        run.rename(here / "moved")
        run.symlink_to(here / "moved")
    result = rasched("resume", "out")
    assert result.code == 2 and "is a symbolic link" in result.err
    assert (here / "victim/file").read_text() == "mine"


def test_a_run_below_a_linked_folder_is_refused(rasched: Rasched, here: Path) -> None:
    words = ("seed=0,1", "steps=5", "hydra.sweep.dir=out", "hydra.sweep.subdir=a/${hydra.job.num}")
    assert rasched("sweep", *words, "-j", "1").code == 0
    (here / "out/a/0/run.json").unlink()
    (here / "out/a").rename(here / "victim")
    (here / "out/a").symlink_to(here / "victim")
    before = {path: path.stat().st_mtime_ns for path in (here / "victim").rglob("*")}
    result = rasched("resume", "out")
    assert result.code == 2 and "out/a is a symbolic link" in result.err
    assert {path: path.stat().st_mtime_ns for path in (here / "victim").rglob("*")} == before


def test_a_picture_replaces_a_link(rasched: Rasched, here: Path, sweep: Path) -> None:
    (here / "victim").write_text("mine")
    for path in (next(sweep.glob("1_*")) / "lr_vs_reward.png", sweep / "curves.png"):
        path.symlink_to(here / "victim")
        assert rasched("plot", str(path.parent)).code in (0, 3)
        assert (here / "victim").read_text() == "mine" and not path.is_symlink() and path.stat().st_size > 1000


@pytest.mark.parametrize(
    "override",
    [
        "+rule._target_=evil_module.Rule",
        "env=gym env.id=evil_module:Env-v0",
        "env=gym env.id=X-v0 env.module=evil_module",
    ],
)
def test_no_module_is_imported_that_a_folder_names(
    rasched: Rasched, here: Path, sweep: Path, module: Path, override: str
) -> None:
    _edit(sweep / "sweep.json", lambda index: index["runs"][0].update(overrides=override.split()))
    result = rasched("resume", "out")
    assert result.code == 2 and "imports code of its own" in result.err and "add --trust" in result.err
    assert not module.exists()
    assert rasched("resume", "out", "--trust").code == 2  # it is no rule, or changes the settings
    assert module.exists()


def test_no_module_is_imported_that_a_run_names(rasched: Rasched, here: Path, module: Path) -> None:
    assert rasched("run", "steps=5", "hydra.run.dir=one", "logger.plot=false").code == 0
    _edit(here / "one/run.json", lambda record: record.update(status="running"))
    overrides = here / "one/.hydra/overrides.yaml"
    overrides.write_text(yaml.safe_dump(["+rule._target_=evil_module.Rule"]))
    result = rasched("resume", "one")
    assert result.code == 2 and "imports code of its own (rule._target_=evil_module.Rule)" in result.err
    assert not module.exists()


@pytest.mark.parametrize("where", ["config_dir", "config_path", "searchpath"])
def test_no_configuration_is_read_that_a_folder_names(rasched: Rasched, here: Path, sweep: Path, where: str) -> None:
    def change(index: Any) -> None:
        if where == "searchpath":
            index["composition"]["hydra_overrides"].append("hydra.searchpath=[file:///tmp]")
        else:
            index["composition"]["config_files"][where] = str(here)

    _edit(sweep / "sweep.json", change)
    result = rasched("resume", "out")
    assert result.code == 2 and "reads configuration files of its own" in result.err and "add --trust" in result.err


@pytest.mark.parametrize("name", ["config", "overrides", "hydra"])
@pytest.mark.parametrize("text", ["", "[]", "3", "a: [", "hydra: {}", "hydra: {overrides: 3}", "\x00", "- [[1]]"])
def test_a_damaged_hydra_file_is_one_sentence(rasched: Rasched, here: Path, name: str, text: str) -> None:
    assert rasched("run", "steps=5", "hydra.run.dir=one", "logger.plot=false").code == 0
    _edit(here / "one/run.json", lambda record: record.update(status="running"))
    (here / f"one/.hydra/{name}.yaml").write_text(text)
    result = rasched("resume", "one")
    assert result.code == 2 and len(result.err.splitlines()) == 1, result


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"runs": 3}', '{"runs": [3]}',
        '{"runs": [], "composition": {}}', '{"runs": [], "composition": 3}',
        '{"runs": [{"config_hash": 1}], "composition": {}}',
        '{"runs": [{"config_hash": 1}], "settings": {}, "composition": {"hydra_overrides": [], "batched": true, '
        '"config_files": {"config_dir": null, "config_path": null, "config_name": null}, "runs_per_job": null}}',
    ],
)  # fmt: skip
def test_a_damaged_index_is_one_sentence(rasched: Rasched, here: Path, sweep: Path, text: str) -> None:
    (sweep / "sweep.json").write_text(text)
    result = rasched("resume", "out")
    assert result.code == 2 and len(result.err.splitlines()) == 1, result


def test_loops_of_links_are_not_followed(rasched: Rasched, here: Path, sweep: Path) -> None:
    (sweep / "a").symlink_to(sweep)
    (sweep / "b").symlink_to(".")
    result = rasched("plot", "out", "--kind", "runs")
    assert len(list(sweep.rglob("lr_vs_reward.png"))) == 2, result
