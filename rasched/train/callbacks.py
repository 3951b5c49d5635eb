"""Callbacks of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from rasched.train.run_result import RunResult
from rasched.train.video import Video


class Callback:
    """Receives the events of a batch that trains; override what you need.

    A run is named by its index in the batch. An exception of a callback ends the training.
    """

    # If true, a run that cannot be rendered is refused before the first step.
    records_video: bool = False

    def on_row(self, step: int, columns: Mapping[str, Tensor | float]) -> None:
        """Take one row of metrics at an environment step: floats for a single run, else tensors ``(num_runs,)``.

        Several gradient steps on the same rollout are one row, with their means and the learning rate of the last. A
        run that has failed has NaN.
        """

    def on_checkpoint(self, step: int, state_dict: Callable[[], dict[str, Any]]) -> None:
        """Save the state if you like; called after each rollout, because between rollouts training can be resumed.

        ``state_dict`` returns the state of the whole batch, of tensors and plain values. Its tensors change as training
        goes on: save or copy them at once.
        """

    def on_run_failed(self, run_index: int, result: RunResult) -> None:
        """Take note that a run has failed."""

    def on_video(self, run_index: int, record_video: Callable[[], Video]) -> None:
        """Record an episode of a run's policy if you like; called at the end for each run that did not fail.

        ``record_video`` changes no number.
        """

    def on_policies(self, policy_of: Callable[[int], dict[str, Any]]) -> None:
        """Keep policies if you like; called at the end. ``policy_of(run_index)`` copies the policy of a run.

        What it returns is tensors and plain values (:class:`rasched.train.policy.Policy`).
        """

    def on_end(self, results: Sequence[RunResult]) -> None:
        """Take the result of each run."""
