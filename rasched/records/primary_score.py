"""The score that a run is judged by. Imports no NumPy, since ``rasched ls`` must not wait for it."""

from __future__ import annotations

from collections.abc import Mapping

# What a run is judged by: the first of these that it has. If every step pays the same, a reward per step says nothing.
PRIMARY_SCORES = {
    "eval_return_last": "return of the last evaluation",
    "return_last": "mean return of the last episodes",
    "reward_last_tenth": "mean reward of the last tenth",
}


def primary_score(scores: Mapping[str, float]) -> float | None:
    """Return the score that a run is judged by, None if it has none."""
    return next((scores[name] for name in PRIMARY_SCORES if name in scores), None)
