"""The names under which TensorBoard shows columns and scores: it sorts charts by them, so the first are what to see."""

from __future__ import annotations

# Other columns keep their names, of the groups rollout and train, which come after this group.
_FIRST = {
    "train/lr": "lr_and_reward/learning_rate",
    "train/reward": "lr_and_reward/reward",
    "rollout/ep_rew_mean": "lr_and_reward/return",
    "eval/return": "lr_and_reward/return_in_evaluation",
}


def column_tag(column: str) -> str:
    """Return the tag of a column of the metrics."""
    return _FIRST.get(column, column)


def score_tag(score: str) -> str:
    """Return the tag of a score of the whole run; these come last."""
    return f"whole_run/{score}"


def band_tags(column: str) -> tuple[str, str, str]:
    """Return the tags of a column's mean over seeds, and of the lower and the upper bound of its interval."""
    name = column_tag(column).rpartition("/")[2]
    return column_tag(column), f"seed_band/{name}_low", f"seed_band/{name}_high"
