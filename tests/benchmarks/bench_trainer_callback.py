"""What RewardObserveCallback adds to a step of transformers.Trainer, side by side in one process.

    python tests/benchmarks/bench_trainer_callback.py

Trainings with and without the callback alternate, on a Llama made from a config whose step takes some 10 ms. The time
of a step is from one on_step_begin to the next, the medians of the pairs of trainings are compared; beside them stands
the time that the callback's own events take, which a noisy machine does not blur.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from rasched import RewardAdaptiveScheduler, RewardObserveCallback

ROUNDS, STEPS, WARM = 7, 60, 10


class Clock(TrainerCallback):
    """Notes the time at the beginning of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self.times.append(time.perf_counter())

    def steps(self) -> list[float]:
        return [after - before for before, after in zip(self.times[WARM:], self.times[WARM + 1 :], strict=False)]


class Timed(RewardObserveCallback):
    """Adds up the time within its own events."""

    spent = 0.0

    def on_pre_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        start = time.perf_counter()
        super().on_pre_optimizer_step(*args, **kwargs)
        self.spent += time.perf_counter() - start

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        start = time.perf_counter()
        super().on_step_end(*args, **kwargs)
        self.spent += time.perf_counter() - start


def train(with_callback: bool) -> tuple[list[float], float]:
    """Return the times of the steps, and of the callback's events a step, both in seconds."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=256,
            hidden_size=96,
            intermediate_size=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tokens = torch.randint(0, 256, (256, 32))
    clock = Clock()
    callbacks: list[Any] = [clock]
    if with_callback:
        scheduler = RewardAdaptiveScheduler(optimizer, ema_reward_beta=0.9)
        callbacks.append(Timed(scheduler, lambda step: 0.1 * (step % 3 - 1)))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=STEPS,
            per_device_train_batch_size=8,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
        )
        data: Any = [{"input_ids": row, "labels": row} for row in tokens]
        Trainer(model, arguments, train_dataset=data, optimizers=(optimizer, None), callbacks=callbacks).train()
    return clock.steps(), callbacks[-1].spent / STEPS if with_callback else 0.0


def main() -> None:
    torch.set_num_threads(1)
    gc.freeze()
    train(True)
    ratios, plain, own = [], [], []
    for number in range(ROUNDS):
        order = (False, True) if number % 2 else (True, False)  # neither always runs on the warmer machine
        found = {with_callback: train(with_callback) for with_callback in order}
        without, beside = (statistics.median(found[with_callback][0]) for with_callback in (False, True))
        ratios.append(beside / without)
        plain.append(without)
        own.append(found[True][1])
    step = statistics.median(plain)
    print(f"step without the callback    {step * 1e3:8.2f} ms")
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(f"with : without, median of {ROUNDS}  {middle:8.3f}  ({low:.3f} .. {high:.3f})")
    print(f"the callback's own events    {min(own) * 1e6:8.1f} us a step, {min(own) / step:.2%} of it")


if __name__ == "__main__":
    main()
