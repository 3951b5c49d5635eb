"""Stack the last observations."""

from __future__ import annotations

import numpy as np

from rasched.envs.gym.backend import Array


class FrameStack:
    """Stacks observations ``(num_runs, num_envs, *shape)`` to ``(num_runs, num_envs, num_frames, *shape)``.

    The newest is the last. The first observation of an episode fills the stack, as in Gymnasium's
    ``FrameStackObservation``.
    """

    def __init__(self, num_frames: int) -> None:
        self._num_frames = num_frames
        self.stack: Array

    def fill(self, observation: Array) -> Array:
        """Begin all episodes with these observations, and return the stacks."""
        self.stack = np.repeat(observation[:, :, None], self._num_frames, axis=2)
        return self.stack

    def push(self, observation: Array, final: Array, has_ended: Array | None) -> tuple[Array, Array]:
        """Return the stacks of the next observations, and of those that the step led to.

        ``has_ended`` has shape ``(num_runs, num_envs)``, or is None if no episode ended.
        """
        stacked = np.concatenate((self.stack[:, :, 1:], final[:, :, None]), axis=2)
        self.stack = stacked
        if has_ended is not None:
            self.stack = stacked.copy()
            self.stack[has_ended] = observation[has_ended][:, None]
        return self.stack, stacked
