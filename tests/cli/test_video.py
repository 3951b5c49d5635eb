"""A film of the trained policy, where one asks for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

WORDS = (
    "agent=a2c",
    "env.num_envs=1",
    "signal=episodes",
    "eval.every=0",
    "env.module=tests.envs.gym_test_envs",
    "env.id=rasched-test/Painted-v0",
    "steps=100",
)


def films(folder: Path) -> list[tuple[int, bytes]]:
    (path,) = folder.glob("events.out.tfevents.*")
    values = [(event.step, v) for event in EventFileLoader(str(path)).Load() for v in event.summary.value]
    return [(step, value.tensor.string_val[2]) for step, value in values if value.tag == "trajectory/video"]


def test_a_run_leaves_its_video_and_the_same_numbers(rasched: Callable[..., Any], here: Path) -> None:
    for name, video in (("with", "true"), ("without", "false")):
        said = rasched("run", *WORDS, f"logger.video={video}", f"hydra.run.dir={name}", "logger.plot=false")
        assert said.code == 0, said.err
    gif = (here / "with/video.gif").read_bytes()
    assert films(here / "with") == [(100, gif)]
    assert films(here / "without") == [] and not (here / "without/video.gif").exists()
    a, b = ((here / name / "metrics.parquet").read_bytes() for name in ("with", "without"))
    assert a == b


@pytest.mark.parametrize("launcher", ["batched", "basic"])
def test_each_run_of_a_sweep_leaves_its_own(rasched: Callable[..., Any], here: Path, launcher: str) -> None:
    more = (f"hydra/launcher={launcher}", "hydra/hydra_logging=none")
    for name, video in (("with", "true"), ("without", "false")):
        words = ("seed=0,1", "rule=none,kelly", f"logger.video={video}", f"hydra.sweep.dir={name}", *more)
        assert rasched("run", "-m", *WORDS, *words).code == 0
    folders = sorted(path for path in (here / "with").glob("[0-9]*"))
    assert len(folders) == 4
    for folder in folders:
        assert films(folder) == [(100, (folder / "video.gif").read_bytes())]
        other = next((here / "without").glob(f"{folder.name[0]}_*"))
        assert (other / "metrics.parquet").read_bytes() == (folder / "metrics.parquet").read_bytes()
    assert len({(folder / "video.gif").read_bytes() for folder in folders}) > 1


def test_a_sweep_may_film_some_of_its_runs(rasched: Callable[..., Any], here: Path) -> None:
    assert rasched("run", "-m", *WORDS, "seed=0,1", "logger.video=true,false", "hydra.sweep.dir=out").code == 0
    assert [path.parent.name[0] for path in sorted(here.glob("out/*/video.gif"))] == ["0", "2"]


def test_without_an_event_file_there_is_the_video_still(rasched: Callable[..., Any], here: Path) -> None:
    for words in (("run", "control=false", "hydra.run.dir=one"), ("run", "-m", "seed=0,1", "hydra.sweep.dir=many")):
        assert rasched(*words, *WORDS, "logger.video=true", "logger.log_every=null").code == 0
    assert len(list(here.rglob("video.gif"))) == 3


def test_a_renderer_that_fails_in_the_end_costs_the_video_and_not_the_run(
    rasched: Callable[..., Any], here: Path
) -> None:
    words = ("+env.kwargs.draws=2", "+env.kwargs.wall=1e9", "logger.video=true")
    with pytest.warns(
        RuntimeWarning, match="one is complete but for its video:.* cannot be rendered here: the paint has"
    ):
        said = rasched("run", *WORDS, *words, "control=false", "hydra.run.dir=one", "--json")
    assert (said.code, said.json["status"]) == (0, "done")
    assert films(here / "one") == [] and (here / "one/metrics.parquet").exists()
