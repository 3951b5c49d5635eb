"""Importing rasched imports no framework, and a missing one is named together with what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = ("transformers", "trl", "accelerate", "lightning", "stable_baselines3", "skrl", "torchrl", "torch._dynamo")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_framework_is_imported_unasked() -> None:
    out = run(
        "import sys, rasched, rasched.integrations; from rasched import RewardObserveCallback;"
        f"print([name for name in {FRAMEWORKS} if name in sys.modules])"
    )
    assert out.strip() == "[]"


MISSING = [  # what a user writes, the framework it needs, the extra that brings it
    ("from rasched import RewardObserveCallback as C; C(None, print)", "transformers", "huggingface"),
    ("from reward_callback import RewardObserveCallback as C; C(None, print)", "transformers", "huggingface"),
    ("from rasched.integrations import LightningRewardCallback", "lightning", "lightning"),
    ("from rasched.integrations import SB3RewardCallback", "stable_baselines3", "sb3"),
    ("from rasched.integrations import attach_skrl; attach_skrl(None, None)", "skrl", "skrl"),
    ("from rasched.integrations import RewardSchedulerHook", "torchrl", "torchrl"),
]


def test_a_missing_framework_is_named_with_what_to_install() -> None:
    out = run(
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"for name in ('pytorch_lightning', *{FRAMEWORKS}):\n"
        "    sys.modules[name] = None  # what the import system takes for 'not installed'\n"
        f"for code in {[code for code, *_ in MISSING]}:\n"
        "    try:\n        exec(code)\n"
        "    except ImportError as error:\n        print(error)\n"
    )
    assert out.splitlines() == [
        f"this adapter needs {framework}, which is not installed: pip install 'rasched[{extra}]'"
        for _, framework, extra in MISSING
    ]


def test_the_original_name_is_the_same_class() -> None:
    pytest.importorskip("transformers")
    from reward_callback import RewardObserveCallback as Original

    from rasched import RewardObserveCallback

    assert Original is RewardObserveCallback


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either reward_fn"),
        ({"reward_fn": abs, "reward_key": "reward"}, "either reward_fn"),
        ({"reward_fn": 1.0}, "function of the step, got float"),
    ],
)
def test_a_callback_without_one_source_of_rewards_is_refused(arguments: dict[str, object], message: str) -> None:
    pytest.importorskip("transformers")
    import torch

    from rasched import RewardAdaptiveScheduler, RewardObserveCallback

    scheduler = RewardAdaptiveScheduler(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    with pytest.raises(TypeError, match=message):
        RewardObserveCallback(scheduler, **arguments)  # type: ignore[arg-type]


def test_a_scheduler_of_torch_is_refused() -> None:
    pytest.importorskip("transformers")
    import torch

    from rasched import RewardObserveCallback

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(TypeError, match="must be a RewardAdaptiveScheduler.*got StepLR"):
        RewardObserveCallback(torch.optim.lr_scheduler.StepLR(optimizer, 1), lambda step: 0.0)  # type: ignore[arg-type]
