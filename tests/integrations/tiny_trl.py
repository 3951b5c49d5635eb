"""TRL trainers of a language model with a vocabulary of eight letters, which is rewarded for writing 'a'."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

gc.freeze()  # each training starts with a gc.collect() over all that the imports left

LETTERS = ["<pad>", "<eos>", "a", "b", "c", "d", "e", "f"]
LR = 1e-2


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(WordLevel({letter: i for i, letter in enumerate(LETTERS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<pad>", padding_side="left"
    )


def make_model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(LETTERS),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    )


def make_data(rows: int = 64) -> Dataset:
    return Dataset.from_list([{"prompt": " ".join(LETTERS[2 + (i + j) % 6] for j in range(2))} for i in range(rows)])


def letters_a(completions: list[str], **_: Any) -> list[float]:
    """Return for each completion the share of its letters that are 'a'."""
    return [text.split().count("a") / max(1, len(text.split())) for text in completions]


def arguments(folder: Path | str, **more: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "dataloader_pin_memory": False,
    }
    return {**defaults, **more}
