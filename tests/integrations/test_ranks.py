"""Two processes: without an exchange of rewards they drift apart, with it they stay one training."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch.distributed as dist
from lr_recording import intended_lrs
from rank_torch import STEPS, all_scenarios
from two_ranks import on_two_ranks

pytestmark = [
    pytest.mark.distributed,
    pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo"),
    pytest.mark.skipif(sys.platform == "win32", reason="gloo groups of local processes are tested on POSIX only"),
]


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    return on_two_ranks(all_scenarios)


def test_ranks_with_rewards_of_their_own_drift_apart_and_are_warned_once(ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank["naive"] for rank in ranks)
    assert zero["rates"][-1] > 2 * one["rates"][-1]
    assert zero["weights"] != one["weights"]
    for rank in (zero, one):
        assert len(rank["warnings"]) == 1
        assert "sync=True" in rank["warnings"][0]


@pytest.mark.parametrize(
    ("scenario", "means", "skipped"),
    [
        ("sync", [0.25] * STEPS, 0),
        ("group", [0.25] * STEPS, 0),
        ("none on one rank", [0.25, 0.3, 1.0, None, 0.25, 0.1], 0),
        ("none on rank 1", [1.0] * STEPS, 0),
        ("none on both", [None] * STEPS, 0),
        ("nan on one rank", [0.75, None, 0.75, 0.5, None, 0.75], 2),
    ],
)
def test_synchronised_ranks_stay_equal(
    scenario: str, means: list[float | None], skipped: int, ranks: list[dict[str, Any]]
) -> None:
    zero, one = (rank[scenario] for rank in ranks)
    assert zero == one
    assert zero["rates"] == intended_lrs(means, lr=1e-2)
    assert zero["observed"] == sum(mean is not None for mean in means)
    assert zero["skipped"] == skipped
    assert zero["warnings"] == []


def test_a_nan_on_one_rank_raises_on_both(ranks: list[dict[str, Any]]) -> None:
    assert "reward nan at observation 1 is not finite" in ranks[0]["nan raises"]
    assert "a reward of another rank at observation 1 is not finite" in ranks[1]["nan raises"]
