"""One copy of a run's Gymnasium environment that draws what happens."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rasched.envs.gym.backend import Backend
from rasched.envs.gym.batched_env import GymBatchedEnv
from rasched.envs.gym.lookup import find, first_line, install, made
from rasched.envs.gym.sync_backend import SyncBackend

T = TypeVar("T")
# Pictures are drawn in memory: pygame need look for neither a screen nor a loudspeaker, leaves SIGTERM to us, and
# writes nothing on stdout, which belongs to `--json`.
_PYGAME = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "SDL_NO_SIGNAL_HANDLERS": "1",
}


class RenderedGym(GymBatchedEnv):
    """A twin of one run, observations scaled by that run's statistics as they are when it is made."""

    def __init__(self, trained: GymBatchedEnv, run: int) -> None:
        self._run = run
        super().__init__(replace(trained.settings, num_envs=1), [trained.seeds[run]], normalize_like=trained)
        if self.observation_shape != trained.observation_shape or self.action_shape != trained.action_shape:
            raise ValueError(
                f"logger.video must be false with {self.settings.id} of env.backend={self.settings.backend}: it shows"
                f" {trained.observation_shape}, and Gymnasium's, which would be drawn, {self.observation_shape}"
            )
        self._begin("env/video")

    def _make_backend(self) -> Backend:
        spec = find(self.settings.id, self.settings.module)
        pools = ("num_threads",) if self.settings.backend == "envpool" else ()  # means nothing to Gymnasium
        kwargs = {name: value for name, value in self.settings.kwargs.items() if name not in pools}
        self._drawn = _Drawn(spec, self.settings.time_limit, kwargs)
        self.frames_per_second = self._drawn.frames_per_second
        return self._drawn

    def _make_scales(self, other: GymBatchedEnv | None) -> None:
        super()._make_scales(other)
        self._scale = None if self._scale is None else self._scale.of(self._run)

    def render(self) -> NDArray[np.uint8]:
        """Return what the last step led to, ``(height, width, 3)``; ValueError, in one sentence, where that fails."""
        return self._drawn.render()

    def close(self) -> None:
        """Give back what drawing took."""
        self._drawn.close()


class _Drawn(SyncBackend):
    """A copy that keeps the picture of an episode's end, since it is reset within the step."""

    def __init__(self, spec: Any, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        for name, value in _PYGAME.items():
            os.environ.setdefault(name, value)
        self._name = spec.id
        self._check(spec, {name: value for name, value in kwargs.items() if name != "render_mode"})
        super().__init__(spec, 1, time_limit, {**kwargs, "render_mode": "rgb_array"})
        self.frames_per_second = float(self._envs[0].metadata.get("render_fps") or 30)
        self._end: NDArray[np.uint8] | None = None

    def _check(self, spec: Any, kwargs: Mapping[str, Any]) -> None:
        """Refuse what does not draw; asked for a mode that it does not have, it might refuse in words of its own."""
        env = made(spec.id, lambda: gymnasium.make(spec, disable_env_checker=True, **kwargs))
        modes = env.metadata.get("render_modes") or ()
        env.close()
        if "rgb_array" not in modes:
            raise ValueError(
                f"logger.video must be false with {spec.id}: it has no render_mode rgb_array"
                f" (it has {', '.join(map(str, modes)) or 'none'})"
            )

    def step(self, action: Any) -> Any:
        """Step; an episode's end is drawn before the next one begins."""
        self._end = None
        return super().step(action)

    def _again(self, copy: int) -> Any:
        self._end = self._draw()
        return super()._again(copy)

    def render(self) -> NDArray[np.uint8]:
        return self._draw() if self._end is None else self._end

    def _draw(self) -> NDArray[np.uint8]:
        picture = _said(self._name, self._envs[0].render)
        if not (isinstance(picture, np.ndarray) and picture.ndim == 3 and picture.shape[2] == 3):
            raise ValueError(f"logger.video must be false with {self._name}: what it renders is no RGB picture")
        return np.array(picture, np.uint8)  # a copy: some renderers draw into the same buffer again

    def close(self) -> None:
        self._envs[0].close()


def _said(name: str, draw: Callable[[], T]) -> T:
    """Return what is drawn, and say in one sentence why nothing is."""
    try:
        return draw()
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise ValueError(f"logger.video=true needs a package that draws {name}: {install(name, error)}") from error
    except Exception as error:  # no display, no graphics driver: each renderer has exceptions of its own
        why = first_line(error)
        raise ValueError(f"logger.video must be false with {name}, which cannot be drawn here: {why}") from error
