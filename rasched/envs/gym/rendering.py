"""Render one environment of Gymnasium."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rasched.envs.gym.backend import Array, BackendStep
from rasched.envs.gym.lookup import first_line, install_hint, make_or_raise
from rasched.envs.gym.sync_backend import SyncBackend

T = TypeVar("T")
# Images are rendered in memory. So pygame needs neither a screen nor a loudspeaker, should leave SIGTERM to us, and
# must not write to stdout, where `--json` writes.
_PYGAME_ENVIRONMENT = {
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "SDL_NO_SIGNAL_HANDLERS": "1",
}


class RenderBackend(SyncBackend):
    """Steps one environment that renders RGB images.

    The end of an episode is rendered before the next one begins, since the reset happens within the step. Raises
    ValueError if the environment has no render_mode rgb_array.
    """

    def __init__(self, spec: Any, time_limit: int | None, kwargs: Mapping[str, Any]) -> None:
        for name, value in _PYGAME_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._env_id = spec.id
        _check_renderable(spec, {name: value for name, value in kwargs.items() if name != "render_mode"})
        super().__init__(spec, 1, time_limit, {**kwargs, "render_mode": "rgb_array"})
        self.frames_per_second = float(self._envs[0].metadata.get("render_fps") or 30)
        self._end_of_episode: NDArray[np.uint8] | None = None

    def step(self, action: Array) -> BackendStep:
        """Step the environment, and reset it if its episode ended."""
        self._end_of_episode = None
        return super().step(action)

    def _reset_env(self, env_index: int, seed: int | None = None) -> Any:
        if seed is None:
            self._end_of_episode = self._render_now()
        return super()._reset_env(env_index, seed)

    def _fail(self, env_index: int, what: str) -> Array:
        raise ValueError(f"environment {self._env_id} {what} while it was recorded")

    def render(self) -> NDArray[np.uint8]:
        """Return an RGB image ``(height, width, 3)`` of the state that the last step led to."""
        return self._render_now() if self._end_of_episode is None else self._end_of_episode

    def _render_now(self) -> NDArray[np.uint8]:
        image = _render_or_raise(self._env_id, self._envs[0].render)
        if not (isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3):
            raise ValueError(f"logger.video must be false with {self._env_id}: what it renders is not an RGB image")
        return np.array(image, np.uint8)  # a copy: some renderers write to the same buffer again

    def close(self) -> None:
        """Close the environment."""
        self._envs[0].close()


def _check_renderable(spec: Any, kwargs: Mapping[str, Any]) -> None:
    """Raise ValueError unless the environment offers rgb_array.

    It is made without a render mode first: asked for one that it does not have, it could fail with any message.
    """
    env = make_or_raise(spec.id, lambda: gymnasium.make(spec, disable_env_checker=True, **kwargs))
    modes = env.metadata.get("render_modes") or ()
    env.close()
    if "rgb_array" not in modes:
        raise ValueError(
            f"logger.video must be false with {spec.id}: it has no render_mode rgb_array"
            f" (it has {', '.join(map(str, modes)) or 'none'})"
        )


def _render_or_raise(env_id: str, render: Callable[[], T]) -> T:
    """Return what is rendered; ValueError, in one sentence, if that fails."""
    try:
        return render()
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        hint = install_hint(env_id, error)
        raise ValueError(f"logger.video=true needs a package that renders {env_id}: {hint}") from error
    except Exception as error:  # no display or no graphics driver: each renderer raises exceptions of its own
        reason = first_line(error)
        raise ValueError(
            f"logger.video must be false with {env_id}, which cannot be rendered here: {reason}"
        ) from error
