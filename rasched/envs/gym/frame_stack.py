"""The last few observations as one."""

from __future__ import annotations

import numpy as np

from rasched.envs.gym.backend import Array


class FrameStack:
    """Stacks observations ``(runs, num_envs, *shape)`` to ``(runs, num_envs, frames, *shape)``, the newest last.

    An episode's first observation fills the stack, as Gymnasium's ``FrameStackObservation`` does.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.stack: Array

    def fill(self, observation: Array) -> Array:
        """Begin all episodes."""
        self.stack = np.repeat(observation[:, :, None], self._frames, axis=2)
        return self.stack

    def push(self, observation: Array, final: Array, over: Array) -> tuple[Array, Array]:
        """Return the stacks after a step: of what comes next, and of what the step led to."""
        stacked = np.concatenate((self.stack[:, :, 1:], final[:, :, None]), axis=2)
        self.stack = stacked
        if over.any():
            self.stack = stacked.copy()
            self.stack[over] = observation[over][:, None]
        return self.stack, stacked
