"""Record an episode of the trained policy as an animated GIF of some hundred kilobytes.

GIF is the only animated format that TensorBoard plays. Its `add_video` needs MoviePy and ffmpeg, as Gymnasium's own
recorder does; Pillow, which TensorBoard and Matplotlib install anyway, writes the same file.
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
from rasched.train.evaluation import play_episodes

if TYPE_CHECKING:
    from PIL.Image import Image

TAG = "trajectory/video"  # in the event file; the name in Stable-Baselines3's documentation
MAX_FRAMES = 256  # of a longer episode every second, fourth, ... frame is kept, from the beginning to the end
MAX_SIDE = 320  # pixels of the longer side
MAX_FPS, MIN_FPS = 25.0, 10.0  # frames per second
MAX_EPISODE_STEPS = 10_000  # an environment without a time limit may never end an episode
_LAST_FRAME_SECONDS = 1.0


@dataclass(frozen=True)
class Video:
    """An animated GIF; ``size`` is (width, height) in pixels."""

    gif: bytes
    size: tuple[int, int]


def record_video(agent: Agent, env: BatchedEnv, run_index: int) -> Video:
    """Record one episode of a run's deterministic policy, in an environment with a random stream of its own.

    It plays at real-time speed, or faster if that would be less than 10 frames per second. Training is not changed.
    ``run_index`` is the index in the batch. Raises ValueError, in one sentence, if nothing can be rendered.
    """
    with closing(env.make_render_env(run_index)) as render_env:
        frames = _FrameBuffer(render_env.frames_per_second)
        frames.add(render_env.render())
        rewards = play_episodes(lambda observation: _act(agent, env.num_runs, run_index, observation), render_env)
        for step, _ in enumerate(rewards, 1):
            if step % frames.every == 0:
                frames.add(render_env.render())
            if step == MAX_EPISODE_STEPS:
                break
        if step % frames.every:
            frames.add(render_env.render())
        return frames.encode()


def check_renderable(agent: Agent, env: BatchedEnv) -> None:
    """Render one frame and compute one action, and discard both; raises ValueError if either is impossible."""
    with closing(env.make_render_env(0)) as render_env:
        render_env.render()
        _act(agent, env.num_runs, 0, render_env.observation)


def _act(agent: Agent, num_runs: int, run_index: int, observation: Tensor) -> Tensor:
    """Return one run's action, ``(1, num_envs, ...)``, from the actions that the whole batch would take."""
    return agent.act(observation.expand(num_runs, *observation.shape[1:]))[run_index : run_index + 1]


class _FrameBuffer:
    """Frames at equal distances; of a long episode fewer per step."""

    def __init__(self, frames_per_second: float) -> None:
        self._per_second = frames_per_second
        self._frames: list[Image] = []
        self.every = max(1, round(frames_per_second / MAX_FPS))  # steps between two frames

    def add(self, image: NDArray[np.uint8]) -> None:
        from PIL import Image

        frame = Image.fromarray(image)
        frame.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
        # the default, median cut, takes six times as long and makes the larger file
        self._frames.append(frame.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))
        if len(self._frames) > MAX_FRAMES:
            del self._frames[1::2]
            self.every *= 2

    def encode(self) -> Video:
        first, *others = self._frames
        delay = round(1000 * min(self.every / self._per_second, 1 / MIN_FPS))  # milliseconds
        delays = [delay] * len(others) + [round(1000 * _LAST_FRAME_SECONDS)]
        file = io.BytesIO()
        first.save(file, "GIF", save_all=True, append_images=others, duration=delays, loop=0)
        return Video(file.getvalue(), first.size)
