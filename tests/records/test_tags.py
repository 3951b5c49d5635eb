"""Names in TensorBoard: learning rate and reward come first, scores last."""

from rasched.records.tensorboard.tags import band_tags, column_tag, score_tag

FIRST = ("train/lr", "train/reward", "rollout/ep_rew_mean", "eval/return")
OTHERS = ("train/loss", "train/kl", "rollout/ep_len_mean")


def test_learning_rate_and_reward_come_first_and_scores_last() -> None:
    tags = [column_tag(column) for column in (*FIRST, *OTHERS)]
    assert sorted(tags)[:4] == sorted(tags[:4])
    assert sorted([score_tag("lr_first"), *tags])[-1] == score_tag("lr_first")
    assert column_tag("train/lr") < column_tag("train/reward")


def test_a_band_lies_around_the_curve_that_single_runs_have() -> None:
    middle, low, high = band_tags("train/lr")
    assert middle == column_tag("train/lr") and len({middle, low, high}) == 3
