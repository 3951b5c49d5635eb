"""transformers.Trainer and Accelerate on two ranks: one training with sync=True, two without."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch.distributed as dist

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from lr_recording import intended_lrs  # noqa: E402
from rank_trainer import OWN, SPARSE, all_scenarios  # noqa: E402
from two_ranks import on_two_ranks  # noqa: E402

pytestmark = [
    pytest.mark.huggingface,
    pytest.mark.accelerate,
    pytest.mark.distributed,
    pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo"),
    pytest.mark.skipif(sys.platform == "win32", reason="gloo groups of local processes are tested on POSIX only"),
]


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    return on_two_ranks(all_scenarios)


def means(rewards: list[list[Any]]) -> list[float | None]:
    observed = [[reward for reward in pair if reward is not None] for pair in zip(*rewards, strict=True)]
    return [sum(pair) / len(pair) if pair else None for pair in observed]


@pytest.mark.parametrize("who", ["accelerate", "form 1", "form 2"])
def test_ranks_with_rewards_of_their_own_drift_apart(who: str, ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank[f"{who} naive"] for rank in ranks)
    assert zero["rates"] != one["rates"]
    assert zero["weights"] != one["weights"]
    if who != "accelerate":
        assert [len(rank["warnings"]) for rank in (zero, one)] == [1, 1]


@pytest.mark.parametrize("who", ["accelerate", "form 1", "form 2"])
def test_synchronised_ranks_stay_equal(who: str, ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank[f"{who} sync"] for rank in ranks)
    assert zero["rates"] == one["rates"] == intended_lrs(means(OWN), kelly_gain=0.4)
    assert zero["weights"] == one["weights"]


@pytest.mark.parametrize("form", [1, 2])
def test_a_rank_without_a_reward_neither_hangs_nor_splits_them(form: int, ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank[f"form {form} sparse"] for rank in ranks)
    assert zero["rates"] == one["rates"] == intended_lrs(means(SPARSE), kelly_gain=0.4)
    assert zero["weights"] == one["weights"]
    assert zero["logged"] == zero["rates"]
