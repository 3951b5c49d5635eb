"""An episode of the trained policy to look at: an animated GIF of some hundred kilobytes.

A GIF because TensorBoard plays nothing else: its `add_video` writes one too, for which it asks for MoviePy and ffmpeg,
as Gymnasium's own recorder does. Pillow, which TensorBoard and Matplotlib bring anyway, writes the same.
"""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rasched.agents import Agent
from rasched.envs import BatchedEnv
from rasched.train.evaluation import play

if TYPE_CHECKING:
    from PIL.Image import Image

TAG = "trajectory/video"  # in the event file; Stable-Baselines3's documentation has it under this name
FRAMES = 256  # at most: of a longer episode every second, fourth, ... is kept, from the beginning to the end
MAX_SIDE = 320  # pixels of the longer side, at most
FASTEST, SLOWEST = 25.0, 10.0  # frames a second
MAX_EPISODE_STEPS = 10_000  # steps: an environment without a time limit may never end an episode
_HOLD = 1.0  # seconds that the end is seen


@dataclass(frozen=True)
class Video:
    """An animated GIF; ``size`` is (width, height) in pixels."""

    gif: bytes
    size: tuple[int, int]


def record_video(agent: Agent, env: BatchedEnv, run: int) -> Video:
    """Film one episode of a run's deterministic policy, in an environment and by a random stream of its own.

    It is as fast as life, or faster where that would be less than 10 frames a second. Training is left as it is.
    ``run`` is the place in the batch. Raises ValueError, in one sentence, where nothing can be drawn.
    """
    with closing(env.make_render_env(run)) as stage:
        reel = _FrameBuffer(stage.frames_per_second)
        reel.add(stage.render())
        for step, _ in enumerate(play(lambda seen: _act(agent, env.num_runs, run, seen), stage), 1):
            if step % reel.every == 0:
                reel.add(stage.render())
            if step == MAX_EPISODE_STEPS:
                break
        if step % reel.every:
            reel.add(stage.render())
        return reel.develop()


def check_renderable(agent: Agent, env: BatchedEnv) -> None:
    """Take a single picture and a single action, and throw them away; ValueError where either cannot be had."""
    with closing(env.make_render_env(0)) as stage:
        stage.render()
        _act(agent, env.num_runs, 0, stage.observation)


def _act(agent: Agent, runs: int, run: int, observation: Tensor) -> Tensor:
    """Return one run's action, ``(1, copies, ...)``: the whole batch is asked what it would do, one run is heard."""
    return agent.act(observation.expand(runs, *observation.shape[1:]))[run : run + 1]


class _FrameBuffer:
    """Pictures evenly apart, and never many, however long the episode turns out to be."""

    def __init__(self, frames_per_second: float) -> None:
        self._per_second = frames_per_second
        self._frames: list[Image] = []
        self.every = max(1, round(frames_per_second / FASTEST))  # steps between two pictures

    def add(self, picture: NDArray[np.uint8]) -> None:
        from PIL import Image

        frame = Image.fromarray(picture)
        frame.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
        # the default, median cut, takes six times as long and makes the larger file
        self._frames.append(frame.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))
        if len(self._frames) > FRAMES:
            del self._frames[1::2]
            self.every *= 2

    def develop(self) -> Video:
        first, *others = self._frames
        delay = round(1000 * min(self.every / self._per_second, 1 / SLOWEST))  # milliseconds
        delays = [delay] * len(others) + [round(1000 * _HOLD)]
        file = io.BytesIO()
        first.save(file, "GIF", save_all=True, append_images=others, duration=delays, loop=0)
        return Video(file.getvalue(), first.size)
