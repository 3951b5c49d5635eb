"""A film shows the trained, deterministic policy of its own run, is small, and changes nothing."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image

from rasched.agents import A2CSettings, AgentSettings, DQNSettings, PPOSettings, ReinforceSettings
from rasched.envs import BatchedEnv, GaussianBanditSettings, GymSettings
from rasched.rules import Kelly, NoRule
from rasched.train import video as video_module
from rasched.train.loop import dry_construct
from rasched.train.settings import RunSettings
from rasched.train.video import Video, record_video
from tests.run_factories import columns_of, run_settings, train_runs
from tests.scripted import ScriptedSettings

DISCRETE: dict[str, AgentSettings] = {
    "reinforce": ReinforceSettings(),
    "a2c": A2CSettings(),
    "ppo": PPOSettings(n_steps=32, batch_size=32, n_epochs=2),
    "dqn": DQNSettings(learning_starts=64, buffer_size=500, batch_size=16),
}
CASES = [(agent, 2) for agent in DISCRETE.values()] + [(DISCRETE[name], 0) for name in ("reinforce", "a2c", "ppo")]
NAMES = [*(f"{name} discrete" for name in DISCRETE), *(f"{name} continuous" for name in ("reinforce", "a2c", "ppo"))]


def painted(actions: int = 0, **more: Any) -> GymSettings:
    walk = {"steps": 12, **({"actions": actions} if actions else {}), **more.pop("kwargs", {})}
    return GymSettings(id="rasched-test/Painted-v0", module="tests.envs.gym_test_envs", kwargs=walk, **more)


def runs(agent: AgentSettings, seeds: list[int], actions: int = 0, **more: Any) -> list[RunSettings]:
    env = painted(actions, num_envs=2, normalize_observation=True, **more)
    rules = [Kelly(), NoRule()]  # a batch lays those of a kind side by side, out of the order given
    given = {"env": env, "agent": agent, "optimizer": "adam", "lr": 1e-2, "steps": 256}
    return [run_settings(seed, rules[seed % 2], **given) for seed in seeds]


def stripes(shot: Video) -> list[tuple[int, ...]]:
    """What each frame shows: steps taken, last action, place."""
    gif, seen = Image.open(io.BytesIO(shot.gif)), []
    for number in range(gif.n_frames):  # type: ignore[attr-defined]
        gif.seek(number)
        frame = gif.convert("RGB")
        seen.append(tuple(frame.getpixel((20, 20 * i + 10))[i] for i in range(3)))  # type: ignore[index]
    return seen


def filmed(batch: list[RunSettings], **how: Any) -> dict[int, Video]:
    shots: dict[int, Video] = {}
    train_runs(batch, on_video=lambda run, record_video: shots.update({run: record_video()}), **how)
    return shots


@pytest.mark.parametrize(("agent", "actions"), CASES, ids=NAMES)
def test_the_same_film_whatever_runs_beside_it_and_other_runs_have_others(agent: AgentSettings, actions: int) -> None:
    few, many = (filmed(runs(agent, seeds, actions), batched=True) for seeds in ([1, 4], [7, 4, 1, 6]))
    assert set(few) == {0, 1} and set(many) == {0, 1, 2, 3}
    assert few == {0: many[2], 1: many[1]}
    assert len({shot.gif for shot in many.values()}) == 4


@pytest.mark.parametrize(("agent", "actions"), CASES, ids=NAMES)
@pytest.mark.parametrize("stacked", [True, False])
def test_no_number_changes(agent: AgentSettings, actions: int, stacked: bool) -> None:
    batch = runs(agent, [0, 1] if stacked else [0], actions)
    with_, without = (
        columns_of(batch, batched=stacked, on_video=each) for each in (lambda _, record_video: record_video(), None)
    )
    assert set(with_) == set(without)
    for name, values in without.items():
        assert torch.equal(values.nan_to_num(-9.0), with_[name].nan_to_num(-9.0)), name


def test_it_is_the_deterministic_policys_episode() -> None:
    """Played here once more by hand, from the agent's final state."""
    (run,) = runs(A2CSettings(), [3])
    states: list[Any] = []
    shots: list[Video] = []
    train_runs(
        [run],
        lambda step, columns: None,
        save=states.append,
        on_video=lambda _, record_video: shots.append(record_video()),
    )
    env = run.env.make([3])
    agent = run.agent.make(env, [3])
    agent.load_state_dict(states[-1]["agent"])
    env.load_state_dict(states[-1]["env"])
    stage = env.make_render_env(0)
    expected, over = [stage.render()], False
    while not over:
        outcome = stage.step(agent.act(stage.observation).detach())
        expected.append(stage.render())
        over = bool(outcome.terminated | outcome.truncated)
    seen = stripes(shots[0])
    assert len(seen) == len(expected) > 2
    assert seen == [tuple(int(picture[20 * i, 20, i]) for i in range(3)) for picture in expected]


class Still:
    """Stands in for an agent: moves so little that it never reaches the wall."""

    def act(self, observation: torch.Tensor) -> torch.Tensor:
        return torch.full((*observation.shape[:2], 1), -0.5)


def taken(env: BatchedEnv) -> list[int]:
    return [frame[0] for frame in stripes(record_video(Still(), env, 0))]  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 20, 127, 128, 129, 250])
def test_a_long_episode_is_thinned_evenly_and_keeps_its_ends(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "MAX_FRAMES", 32)
    seen = taken(painted(kwargs={"steps": steps, "wall": 1e9}).make([0]))
    gaps = [b - a for a, b in zip(seen, seen[1:], strict=False)]
    assert (seen[0], seen[-1]) == (0, steps) and len(seen) <= 33
    assert steps <= 31 or len(seen) > 16
    assert len(set(gaps[:-1])) <= 1 and gaps[-1] <= gaps[0]


def test_an_episode_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "MAX_EPISODE_STEPS", 40)
    assert taken(painted(kwargs={"steps": 10**9, "wall": 1e9}).make([0]))[-1] == 40


@pytest.mark.parametrize(("per_second", "every", "delay"), [(25, 1, 40), (50, 2, 40), (30, 1, 30), (4, 1, 100)])
def test_it_is_as_fast_as_life_unless_that_is_slow(
    per_second: float, every: int, delay: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.envs.gym_test_envs.Painted.metadata", {"render_modes": ["rgb_array"], "render_fps": per_second}
    )
    shot = record_video(Still(), painted(kwargs={"wall": 1e9}).make([0]), 0)  # type: ignore[arg-type]
    gif = Image.open(io.BytesIO(shot.gif))
    assert gif.n_frames == 12 // every + 1  # type: ignore[attr-defined]
    assert gif.info["duration"] == delay and gif.info["loop"] == 0
    gif.seek(gif.n_frames - 1)  # type: ignore[attr-defined]
    assert gif.info["duration"] == 1000


def test_large_pictures_shrink_and_small_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    env = painted().make([0])
    assert record_video(Still(), env, 0).size == (40, 60)  # type: ignore[arg-type]
    monkeypatch.setattr(video_module, "MAX_SIDE", 30)
    assert record_video(Still(), env, 0).size == (20, 30)  # type: ignore[arg-type]


def test_what_has_no_film_says_so_before_it_learns() -> None:
    with pytest.raises(ValueError, match="logger.video must be false here"):
        dry_construct(run_settings(env=GaussianBanditSettings()), records_video=True)
    with pytest.raises(ValueError, match="has no render_mode rgb_array"):
        dry_construct(
            run_settings(env=GymSettings(id="rasched-test/Walk-v0", module="tests.envs.gym_test_envs")),
            records_video=True,
        )
    with pytest.raises(ValueError, match="logger.video false, with Scripted: it has no deterministic policy"):
        dry_construct(
            run_settings(env=painted(), agent=ScriptedSettings(script=lambda *_: iter(()))), records_video=True
        )


def test_a_run_that_failed_is_not_filmed() -> None:
    batch = runs(A2CSettings(), [0, 1])
    batch[0] = run_settings(0, env=batch[0].env, agent=A2CSettings(), optimizer="adam", lr=1e30, steps=256)
    shots: list[int] = []
    endings = train_runs(batch, lambda step, columns: None, on_video=lambda run, _: shots.append(run))
    assert endings[0].error is not None
    assert shots == [1]
