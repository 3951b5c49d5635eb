"""In TRL's trainers each reward is observed once, and rewards, rates and log agree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

pytest.importorskip("trl")
pytest.importorskip("tokenizers")

from lr_recording import intended_lrs, record_lrs  # noqa: E402
from rank_trl import all_scenarios  # noqa: E402
from tiny_trl import LR, arguments, letters_a, make_data, make_model, make_tokenizer  # noqa: E402
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer  # noqa: E402
from two_ranks import on_two_ranks  # noqa: E402

from rasched import RewardAdaptiveScheduler, RewardObserveCallback  # noqa: E402
from rasched.integrations import RewardCollector, attach_trl  # noqa: E402
from rasched.rules import KLSearch  # noqa: E402

pytestmark = [
    pytest.mark.trl,
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),  # TRL's own, of transformers 5
    pytest.mark.filterwarnings("ignore:All reward functions returned None:UserWarning"),  # on purpose, below
]
STEPS = 6
NORM = {"normalize": "standardize"}


def build(
    folder: Path, source: Any, form: int = 1, kind: str = "GRPO", reward: Any = letters_a, **more: Any
) -> tuple[Any, RewardAdaptiveScheduler, list[float]]:
    """Return trainer, scheduler and the rates at its steps; ``source`` is a reward_key or a reward_fn."""
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    scheduler = RewardAdaptiveScheduler(optimizer, **NORM)
    source_arguments = {"reward_key": source} if isinstance(source, str) else {"reward_fn": source}
    common: dict[str, Any] = {
        "train_dataset": make_data(),
        "processing_class": make_tokenizer(),
        "optimizers": (optimizer, scheduler if form == 2 else None),
        "callbacks": [RewardObserveCallback(scheduler, **source_arguments)],
    }
    if kind == "OnlineDPO":
        from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

        config: Any = OnlineDPOConfig(**arguments(folder, max_new_tokens=6, **more))
        return OnlineDPOTrainer(model, reward_funcs=reward, args=config, **common), scheduler, record_lrs(optimizer)
    settings = arguments(folder, **{"num_generations": 4, "max_completion_length": 6, "beta": 0.0, **more})
    config = (GRPOConfig if kind == "GRPO" else RLOOConfig)(**settings)
    trainer = (GRPOTrainer if kind == "GRPO" else RLOOTrainer)(model, reward, config, **common)
    return trainer, scheduler, record_lrs(optimizer)


def logged(trainer: Any, key: str) -> list[Any]:
    return [row.get(key) for row in trainer.state.log_history if "learning_rate" in row]


@pytest.mark.parametrize(
    ("kind", "key", "form"),
    [
        ("GRPO", "reward", 1),
        ("GRPO", "reward", 2),
        ("RLOO", "reward", 1),
        ("RLOO", "reward", 2),
        ("OnlineDPO", "objective/scores", 1),
        ("OnlineDPO", "objective/scores", 2),
    ],
)
def test_rewards_rates_and_log_agree(kind: str, key: str, form: int, tmp_path: Path) -> None:
    trainer, scheduler, rates = build(tmp_path, key, form, kind)
    trainer.train()
    rewards = logged(trainer, key)
    assert len(set(rewards)) > 2
    assert rates == intended_lrs(rewards, lr=LR, **NORM)  # from LR on: the config's learning_rate (1e-6) is not used
    assert logged(trainer, "learning_rate") == rates
    assert scheduler.num_observed == STEPS


def test_a_rare_log_gives_means_and_a_warning(tmp_path: Path) -> None:
    trainer, scheduler, rates = build(tmp_path, "reward", logging_steps=3)
    with pytest.warns(UserWarning, match="every 3 steps: set logging_steps=1"):
        trainer.train()
    assert scheduler.num_observed == 2
    assert rates == intended_lrs([None, None, logged(trainer, "reward")[0], None, None, None], lr=LR, **NORM)


@pytest.mark.parametrize("source", ["key", "collector"])
def test_a_reward_that_serves_three_steps_counts_once(source: str, tmp_path: Path) -> None:
    collector, calls = RewardCollector(), []

    def counted(completions: list[str], **kwargs: Any) -> list[float]:
        calls.append(letters_a(completions))
        return calls[-1]

    reward, source_of_rewards = (counted, "reward") if source == "key" else (collector.wrap(counted), collector)
    trainer, scheduler, rates = build(tmp_path, source_of_rewards, reward=reward, num_iterations=3)
    trainer.train()
    assert len(calls) == scheduler.num_observed == 2
    keys = [value is not None for value in logged(trainer, "reward")]
    assert keys == [True, False, False, True, False, False]
    observed_rewards = logged(trainer, "reward") if source == "key" else [None] * STEPS
    if source == "collector":
        observed_rewards[0], observed_rewards[3] = (sum(call) / len(call) for call in calls)
    assert rates == intended_lrs(observed_rewards, lr=LR, **NORM)


def test_several_rewards_of_one_step_count_as_their_mean(tmp_path: Path) -> None:
    collector, calls = RewardCollector(), []

    def counted(completions: list[str], **kwargs: Any) -> list[float]:
        calls.append(letters_a(completions))
        return calls[-1]

    more = {"steps_per_generation": 1, "gradient_accumulation_steps": 2, "max_steps": 4}
    trainer, scheduler, rates = build(tmp_path, collector, reward=collector.wrap(counted), **more)
    trainer.train()
    assert len(calls) == 8
    assert scheduler.num_observed == 4
    pairs = [calls[2 * t] + calls[2 * t + 1] for t in range(4)]
    assert rates == intended_lrs([sum(pair) / len(pair) for pair in pairs], lr=LR, **NORM)


@pytest.mark.parametrize("source", ["key", "collector"])
def test_a_step_without_a_valid_reward_is_not_observed(source: str, tmp_path: Path) -> None:
    collector, calls = RewardCollector(), []

    def half(completions: list[str], **kwargs: Any) -> list[float | None]:
        calls.append(letters_a(completions) if len(calls) % 2 == 0 else [None] * len(completions))
        return calls[-1]

    reward, source_of_rewards = (half, "reward") if source == "key" else (collector.wrap(half), collector)
    trainer, scheduler, rates = build(tmp_path, source_of_rewards, reward=reward)
    trainer.train()
    assert scheduler.num_observed == 3
    means = [sum(call) / len(call) if call[0] is not None else None for call in calls]
    assert rates == pytest.approx(intended_lrs(means, lr=LR, **NORM))  # TRL logs a float32 mean


def test_rewards_of_an_evaluation_are_no_steps(tmp_path: Path) -> None:
    collector = RewardCollector()
    trainer, scheduler, rates = build(tmp_path, collector, reward=collector.wrap(letters_a), max_steps=2)
    straight, _, intended = build(tmp_path, "reward", max_steps=2)
    straight.train()
    trainer.train()
    state = scheduler.state_dict()
    trainer.evaluate(make_data(4))
    assert scheduler.state_dict() == state
    assert collector(3) is None
    assert rates == pytest.approx(intended)


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    if not (dist.is_available() and dist.is_gloo_available()) or sys.platform == "win32":
        pytest.skip("needs gloo groups of local processes")
    return on_two_ranks(all_scenarios)


@pytest.mark.distributed
def test_the_logged_reward_is_gathered_so_ranks_agree_without_sync(ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank["key"] for rank in ranks)
    assert zero == one
    assert len(set(zero["rates"])) > 1


@pytest.mark.distributed
def test_tapped_rewards_are_each_ranks_own_and_need_sync(ranks: list[dict[str, Any]]) -> None:
    zero, one = (rank["collector"] for rank in ranks)
    assert zero["rates"] != one["rates"]
    zero, one = (rank["collector synced"] for rank in ranks)
    assert zero == one
    assert zero["rates"] == pytest.approx(ranks[0]["key"]["rates"])


@pytest.mark.parametrize(("kind", "more"), [("GRPO", {}), ("RLOO", {}), ("GRPO", {"gradient_accumulation_steps": 2})])
def test_a_kl_rule_gets_the_divergence_of_each_step_and_sets_every_rate(
    kind: str, more: dict[str, Any], tmp_path: Path
) -> None:
    settings = arguments(tmp_path, num_generations=4, max_completion_length=6, beta=0.0, learning_rate=LR, **more)
    config = (GRPOConfig if kind == "GRPO" else RLOOConfig)(**settings)
    common = {"train_dataset": make_data(), "processing_class": make_tokenizer()}
    trainer = (GRPOTrainer if kind == "GRPO" else RLOOTrainer)(make_model(), letters_a, config, **common)
    seen: list[Any] = []

    class Spy(RewardAdaptiveScheduler):
        def observe(self, R: Any, **extra: Any) -> None:  # noqa: N803
            super().observe(R, **extra)
            seen.append((R, extra["kl"], self.get_lr()[0]))

    callback = attach_trl(trainer, lambda optimizer: Spy(optimizer, rule=KLSearch()))
    trainer.create_optimizer()
    rates = record_lrs(trainer.optimizer)
    trainer.train()
    assert len(seen) == STEPS and all(kl > 0 for _, kl, _ in seen)
    assert [reward for reward, _, _ in seen] == logged(trainer, "reward")
    assert rates == [LR / 100, *(rate for _, _, rate in seen[:-1])] == logged(trainer, "learning_rate")
    assert len(set(rates)) == STEPS and callback.scheduler.get_lr()[0] == seen[-1][2]


def test_the_divergence_of_a_step_grows_with_the_square_of_its_rate(tmp_path: Path) -> None:
    kls: list[Any] = []

    class Spy(RewardAdaptiveScheduler):
        def observe(self, R: Any, **extra: Any) -> None:  # noqa: N803
            kls.append(extra["kl"])

    for lr in (1e-3, 2e-3):
        config = GRPOConfig(**arguments(tmp_path, num_generations=4, max_completion_length=6, beta=0.0, max_steps=1))
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        common: dict[str, Any] = {"train_dataset": make_data(), "processing_class": make_tokenizer()}
        trainer = GRPOTrainer(model, letters_a, config, optimizers=(optimizer, None), **common)
        attach_trl(trainer, Spy(optimizer, rule="none"))
        trainer.train()
    assert kls[1] == pytest.approx(4 * kls[0], rel=0.1) and kls[0] > 0


def test_a_kl_rule_without_a_divergence_is_refused_with_the_way_out(tmp_path: Path) -> None:
    trainer, scheduler, _ = build(tmp_path, "reward")
    callback = RewardObserveCallback(RewardAdaptiveScheduler(trainer.optimizer, rule=KLSearch()), reward_key="reward")
    trainer.callback_handler.callbacks[-1] = callback
    with pytest.raises(ValueError, match="needs kl.*attach_trl"):
        trainer.train()
    with pytest.raises(TypeError, match="needs a GRPOTrainer or RLOOTrainer, got object"):
        attach_trl(object(), scheduler)
