"""In a transformers.Trainer the rate in effect, the rate in the log and the rule's rate are one number."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from lr_recording import LR, intended_lrs, record_lrs  # noqa: E402
from tiny_trainer import (  # noqa: E402
    SETTINGS,
    logged_rates,
    make_arguments,
    make_data,
    make_model,
    make_optimizer,
    make_trainer,
)
from transformers import SchedulerType, Trainer, TrainerCallback  # noqa: E402

from rasched import RewardAdaptiveScheduler, RewardObserveCallback  # noqa: E402

pytestmark = [
    pytest.mark.huggingface,
    pytest.mark.filterwarnings("ignore:warmup_steps=.* has no effect:UserWarning"),  # ours; tested below
]

KINDS = [kind.value for kind in SchedulerType]
NEEDED: dict[str, dict[str, Any]] = {  # settings without which a kind cannot be built
    "cosine_with_min_lr": {"min_lr": 1e-4},
    "cosine_warmup_with_min_lr": {"min_lr": 1e-4},
    "warmup_stable_decay": {"num_decay_steps": 2},
}
METRIC_DRIVEN = ("reduce_lr_on_plateau", "greedy")  # they step at evaluations
STEPS = 6


def dense(step: int) -> float:
    return math.sin(3.0 * step)


def sparse(step: int) -> float | None:
    return dense(step) if step % 2 == 0 else None


def arguments_of(kind: str, warmup: int = 0) -> dict[str, Any]:
    evaluations = {"eval_strategy": "steps", "eval_steps": 2} if kind in METRIC_DRIVEN else {}
    kwargs = {"lr_scheduler_kwargs": NEEDED.get(kind, {})}
    return {"lr_scheduler_type": kind, "warmup_steps": warmup, **kwargs, **evaluations}


Built = tuple[Any, RewardAdaptiveScheduler, list[float]]  # a Trainer, its scheduler, the rates at its optimizer's steps


def build(folder: Path, form: int, reward_fn: Any, **arguments: Any) -> Built:
    model = make_model()
    optimizer = make_optimizer(model)
    scheduler = RewardAdaptiveScheduler(optimizer, **SETTINGS)
    callback = RewardObserveCallback(scheduler, reward_fn)
    trainer = make_trainer(folder, model, (optimizer, scheduler if form == 2 else None), [callback], **arguments)
    return trainer, scheduler, record_lrs(optimizer)


def state_of(trainer: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in trainer.model.parameters()]


# In form 2 the Trainer builds no scheduler, so its kind matters only where the Trainer asks for the class.
@pytest.mark.parametrize(
    ("form", "kind"), [*((1, kind) for kind in KINDS), *((2, kind) for kind in ("linear", *METRIC_DRIVEN, "constant"))]
)
def test_effect_log_and_intention_are_one_number(form: int, kind: str, tmp_path: Path) -> None:
    for reward_fn, accumulation in itertools.product((dense, sparse), (1, 3)):
        trainer, scheduler, rates = build(
            tmp_path, form, reward_fn, gradient_accumulation_steps=accumulation, **arguments_of(kind, warmup=3)
        )
        trainer.train()
        intended = intended_lrs([reward_fn(t + 1) for t in range(STEPS)], **SETTINGS)
        assert len(set(intended)) > 2
        assert rates == intended, (reward_fn.__name__, accumulation)
        assert logged_rates(trainer) == intended, (reward_fn.__name__, accumulation)
        assert scheduler.num_observed == (STEPS if reward_fn is dense else STEPS // 2)


@pytest.mark.parametrize("form", [1, 2])
def test_callbacks_in_front_of_ours_see_the_rate_in_effect(form: int, tmp_path: Path) -> None:
    trainer, _, rates = build(tmp_path, form, dense)
    seen: list[float] = []

    class Early(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            assert kwargs["lr_scheduler"].get_last_lr() == [kwargs["optimizer"].param_groups[0]["lr"]]
            seen.append(kwargs["optimizer"].param_groups[0]["lr"])

    trainer.callback_handler.callbacks.insert(0, Early())
    trainer.train()
    assert seen == rates


def test_another_callback_that_writes_a_rate_is_overruled(tmp_path: Path) -> None:
    class Writer(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            kwargs["optimizer"].param_groups[0]["lr"] = 0.5

    trainer, _, rates = build(tmp_path, 2, sparse)
    trainer.add_callback(Writer())
    with pytest.warns(UserWarning, match="other code set the learning rates.* before step 2"):
        trainer.train()
    assert rates == intended_lrs([sparse(t + 1) for t in range(STEPS)], **SETTINGS)


@pytest.mark.parametrize("form", [1, 2])
def test_a_reward_that_never_comes_gives_a_warning_in_both_forms(form: int, tmp_path: Path) -> None:
    trainer, _, _ = build(tmp_path, form, lambda step: None, max_steps=50, logging_steps=50)
    with pytest.warns(UserWarning, match="observe.. never"):
        trainer.train()


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("kind", ["linear", "reduce_lr_on_plateau", "greedy"])
def test_a_second_training_goes_on_at_the_rate_of_the_first(form: int, kind: str, tmp_path: Path) -> None:
    trainer, scheduler, rates = build(tmp_path, form, dense, **arguments_of(kind, warmup=2))
    trainer.train()
    end = scheduler.get_lr()[0]
    assert end != LR
    trainer.train()
    assert rates[STEPS] == end
    assert rates[STEPS:] == logged_rates(trainer)
    assert scheduler.num_observed == 2 * STEPS


@pytest.mark.parametrize("form", [1, 2])
@pytest.mark.parametrize("flags", [{}, {"restore_callback_states_from_checkpoint": True}])
@pytest.mark.parametrize("kind", ["linear", "reduce_lr_on_plateau"])
def test_a_resumed_run_equals_the_straight_one(form: int, flags: dict[str, Any], kind: str, tmp_path: Path) -> None:
    saving = {"max_steps": 8, "save_strategy": "steps", "save_steps": 4, **arguments_of(kind)}
    straight, scheduler, rates = build(tmp_path, form, sparse, **saving)
    straight.train()
    resumed, again, rates_again = build(tmp_path / "resumed", form, sparse, **saving, **flags)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert len(rates_again) == 4
    assert len(set(rates)) > 3
    assert rates_again == rates[4:]
    assert again.state_dict() == scheduler.state_dict()
    assert all(map(torch.equal, state_of(straight), state_of(resumed)))
    torch.load(tmp_path / "resumed" / "checkpoint-8" / "scheduler.pt", weights_only=True)


def test_form_two_reads_a_checkpoint_of_form_one(tmp_path: Path) -> None:
    saving = {"max_steps": 8, "save_strategy": "steps", "save_steps": 4}
    straight, scheduler, rates = build(tmp_path, 1, dense, **saving)
    straight.train()
    resumed, again, rates_again = build(tmp_path / "resumed", 2, dense, **saving)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert rates_again == rates[4:]
    assert again.state_dict() == scheduler.state_dict()
    assert all(map(torch.equal, state_of(straight), state_of(resumed)))


def test_a_checkpoint_made_without_the_callback_resumes_and_is_saved_again(tmp_path: Path) -> None:
    saving = {"max_steps": 8, "save_strategy": "steps", "save_steps": 4}
    model = make_model()
    make_trainer(tmp_path, model, (make_optimizer(model), None), [], **saving).train()
    resumed, _, rates = build(tmp_path / "resumed", 1, dense, **saving)
    with pytest.warns(UserWarning, match="has no RewardObserveCallback state"):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert rates == intended_lrs([dense(t) for t in range(5, 9)], **SETTINGS)
    state = torch.load(tmp_path / "resumed" / "checkpoint-8" / "scheduler.pt", weights_only=True)
    assert state["_rasched_state"]["num_observed"] == 4


def test_greedy_refuses_a_resume_and_names_the_way_out(tmp_path: Path) -> None:
    saving = {"max_steps": 8, "save_strategy": "steps", "save_steps": 4, **arguments_of("greedy")}
    straight, scheduler, _ = build(tmp_path, 1, dense, **saving)
    straight.train()
    resumed, _, _ = build(tmp_path / "resumed", 1, dense, **saving)
    with pytest.raises(ValueError, match=r"greedy.*resume with optimizers=\(optimizer, scheduler\)"):
        resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    way_out, again, _ = build(tmp_path / "way_out", 2, dense, **saving)
    way_out.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert again.get_lr() == scheduler.get_lr()
    assert again.num_observed == scheduler.num_observed == 8


@pytest.mark.parametrize("optimizers", ["none", "scheduler only"])
def test_a_wrong_optimizer_is_refused(optimizers: str, tmp_path: Path) -> None:
    model = make_model()
    scheduler = RewardAdaptiveScheduler(make_optimizer(model))
    given = (None, None if optimizers == "none" else scheduler)
    trainer = make_trainer(tmp_path, model, given, [RewardObserveCallback(scheduler, dense)])
    with pytest.raises(ValueError, match=r"another optimizer .*optimizers=\(optimizer, None\)"):
        trainer.train()


@pytest.mark.parametrize("warmup", [0, 3])
def test_a_factory_serves_the_optimizer_that_the_trainer_makes(warmup: int, tmp_path: Path) -> None:
    rates: list[float] = []

    def make_scheduler(optimizer: torch.optim.Optimizer) -> RewardAdaptiveScheduler:
        optimizer.register_step_pre_hook(lambda opt, args, kwargs: rates.append(opt.param_groups[0]["lr"]))
        return RewardAdaptiveScheduler(optimizer, **SETTINGS)

    saving = {"max_steps": 8, "save_strategy": "steps", "save_steps": 4, "warmup_steps": warmup}

    def make(folder: Path) -> tuple[Any, RewardObserveCallback]:
        callback = RewardObserveCallback(make_scheduler, dense)
        arguments = make_arguments(folder, **saving)
        return Trainer(
            None, arguments, model_init=lambda: make_model(), train_dataset=make_data(), callbacks=[callback]
        ), callback

    straight, callback = make(tmp_path)
    with pytest.raises(RuntimeError, match="when training starts"):
        _ = callback.scheduler
    straight.train()
    assert rates == logged_rates(straight) == intended_lrs([dense(t + 1) for t in range(8)], **SETTINGS)
    first_rates = rates.copy()
    rates.clear()
    resumed, again = make(tmp_path / "resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert rates == first_rates[4:]
    assert again.scheduler.state_dict() == callback.scheduler.state_dict()
    assert all(map(torch.equal, state_of(straight), state_of(resumed)))


def test_a_warm_up_in_front_is_kept_logged_and_resumed(tmp_path: Path) -> None:
    from torch.optim.lr_scheduler import LinearLR, SequentialLR

    saving = {"max_steps": 8, "save_strategy": "steps", "save_steps": 2}

    def make(folder: Path) -> Built:
        model = make_model()
        optimizer = make_optimizer(model)
        scheduler = RewardAdaptiveScheduler(optimizer, **SETTINGS)
        warm = SequentialLR(optimizer, [LinearLR(optimizer, 0.25, 1.0, 3), scheduler], [3])
        callback = RewardObserveCallback(scheduler, dense)
        return make_trainer(folder, model, (optimizer, warm), [callback], **saving), scheduler, record_lrs(optimizer)

    straight, scheduler, rates = make(tmp_path)
    straight.train()
    assert rates[:3] == pytest.approx([LR / 4, LR / 2, LR * 3 / 4])
    # the third reward comes after the step that ends the warm-up, so it already moves the rule's first rate
    assert rates[3:] == intended_lrs([dense(t) for t in range(3, 9)], **SETTINGS)[1:]
    assert logged_rates(straight) == rates
    for start in (2, 4):  # within the warm-up and after it
        resumed, again, rates_again = make(tmp_path / f"resumed-{start}")
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{start}"))
        assert rates_again == rates[start:]
        assert again.state_dict() == scheduler.state_dict()
        assert all(map(torch.equal, state_of(straight), state_of(resumed)))


def test_the_event_file_holds_the_rates_in_effect(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer, _, rates = build(tmp_path, 1, dense, report_to=["tensorboard"])
    trainer.train()
    (file,) = tmp_path.rglob("events.out.tfevents.*")
    events = accumulator.EventAccumulator(str(file)).Reload().Scalars("train/learning_rate")
    assert [event.step for event in events] == list(range(1, STEPS + 1))
    assert [event.value for event in events] == torch.tensor(
        rates, dtype=torch.float32
    ).tolist()  # what such files hold


@pytest.mark.parametrize("form", [1, 2])
def test_a_skipped_step_is_not_observed(form: int, tmp_path: Path) -> None:
    asked: list[int] = []

    def reward_fn(step: int) -> float:
        asked.append(step)
        return dense(step)

    trainer, scheduler, rates = build(tmp_path, form, reward_fn, max_grad_norm=0.0)
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)  # what fp16 training on a GPU has
    micro_batch = itertools.count(1)
    trainer.model.register_forward_hook(
        lambda module, args, out: {**out, "loss": out["loss"] * (math.inf if next(micro_batch) in (2, 3) else 1.0)}
    )
    trainer.train()
    assert asked == [1, 4, 5, 6]  # steps 2 and 3 overflowed: global_step grows, the optimizer does not step
    assert rates == intended_lrs([dense(t) for t in asked], **SETTINGS)
    assert scheduler.num_observed == 4
    logged = logged_rates(trainer)
    assert logged[1] == logged[2] == logged[3] == rates[1]


def test_an_evaluation_outside_of_training_moves_nothing(tmp_path: Path) -> None:
    model = make_model()
    optimizer = make_optimizer(model)
    scheduler = RewardAdaptiveScheduler(optimizer, **SETTINGS)
    callback = RewardObserveCallback(scheduler, reward_key="eval_loss")
    trainer = make_trainer(tmp_path, model, (optimizer, None), [callback], eval_strategy="steps", eval_steps=2)
    trainer.evaluate()
    assert scheduler.num_observed == 0
    trainer.train()
    assert scheduler.num_observed == 3  # within training an evaluation may well be the reward
    state = scheduler.state_dict()
    trainer.evaluate()
    assert scheduler.state_dict() == state


def test_a_warm_up_that_would_be_ignored_gives_a_warning(tmp_path: Path) -> None:
    trainer, _, _ = build(tmp_path, 1, dense, warmup_steps=3)
    with pytest.warns(UserWarning, match="warmup_steps=3 has no effect.*SequentialLR"):
        trainer.train()


@pytest.mark.parametrize(
    ("arguments", "how"),
    [({"logging_steps": 3}, "every 3 steps"), ({"logging_strategy": "epoch"}, "by strategy 'epoch'")],
)
def test_rewards_from_rare_logs_are_warned_of(arguments: dict[str, Any], how: str, tmp_path: Path) -> None:
    model = make_model()
    optimizer = make_optimizer(model)
    callback = RewardObserveCallback(RewardAdaptiveScheduler(optimizer), reward_key="reward")
    trainer = make_trainer(tmp_path, model, (optimizer, None), [callback], **arguments)
    with pytest.warns(UserWarning, match=f"{how}.*logging_steps=1"):
        trainer.train()
