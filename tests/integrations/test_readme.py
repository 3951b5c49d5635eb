"""Every block of the integrations' page runs as it stands."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import rasched
from rasched import RewardAdaptiveScheduler

PAGE = Path(rasched.__file__).parent / "integrations" / "README.md"
NEEDS = {  # the first word of a section, and the module without which its blocks are skipped
    "Hugging": "transformers",
    "TRL": "trl",
    "Accelerate": "accelerate",
    "Lightning": "lightning",
    "Stable-Baselines3": "stable_baselines3",
    "skrl": "skrl",
    "TorchRL": "torchrl",
    "torch.compile": "torch",
}


def blocks() -> dict[str, list[str]]:
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = {re.split(r"[\s:]", s)[0]: re.findall(r"```python\n(.*?)```", s, flags=re.DOTALL) for s in sections}
    return {name: code for name, code in found.items() if code}


def given(section: str, folder: Path) -> dict[str, Any]:
    """Return what the section's blocks take for granted."""
    names: dict[str, Any] = {"torch": torch, "RewardAdaptiveScheduler": RewardAdaptiveScheduler}
    if section == "Hugging":
        import tiny_trainer
        from torch.optim.lr_scheduler import LinearLR, SequentialLR
        from transformers import Trainer

        names |= {"model": tiny_trainer.make_model(), "dataset": tiny_trainer.make_data(), "Trainer": Trainer}
        names |= {"arguments": tiny_trainer.make_arguments(folder), "reward_fn": lambda step: 0.1 * step}
        names |= {"LinearLR": LinearLR, "SequentialLR": SequentialLR}
    elif section == "TRL":
        import tiny_trl
        from trl import GRPOConfig, GRPOTrainer

        from rasched import RewardObserveCallback
        from rasched.integrations import RewardCollector

        more = {"num_generations": 4, "max_completion_length": 4, "max_steps": 2}
        model = tiny_trl.make_model()
        names |= {
            "model": model,
            "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3),
            "GRPOTrainer": GRPOTrainer,
        }
        names |= {"config": GRPOConfig(**tiny_trl.arguments(folder, **more)), "tokenizer": tiny_trl.make_tokenizer()}
        names |= {"dataset": tiny_trl.make_data(), "reward": tiny_trl.letters_a, "RewardCollector": RewardCollector}
        names |= {"RewardObserveCallback": RewardObserveCallback}
    elif section == "Accelerate":
        from accelerate import Accelerator

        model = torch.nn.Linear(4, 1)
        names |= {"accelerator": Accelerator(cpu=True), "model": model, "batches": torch.ones(4, 2, 4)}
        names |= {"optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3)}
    elif section == "Lightning":
        import lightning.pytorch

        options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "max_steps": 2}
        names |= {"lightning": lightning.pytorch, "options": options}
    elif section == "Stable-Baselines3":
        from stable_baselines3 import PPO

        names |= {"PPO": PPO, "path": folder / "model"}
    elif section == "skrl":
        from skrl.agents.torch.ppo import PPO_CFG

        names |= {"cfg": PPO_CFG(), "make_agent": _skrl_agent}
    elif section == "TorchRL":
        from torchrl.envs import GymEnv, RewardSum, TransformedEnv

        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
        names |= {"TransformedEnv": TransformedEnv, "RewardSum": RewardSum, "env": GymEnv("CartPole-v1")}
        names |= {"optimizer": optimizer, "make_trainer": lambda env, optimizer: Hooks()}
    else:
        names |= {"model": torch.nn.Linear(4, 1)}
    return names


class Hooks:
    """Takes hooks as TorchRL's Trainer does, which test_torchrl.py runs in full."""

    def register_op(self, *_: Any) -> None: ...

    def register_module(self, *_: Any) -> None: ...


def _skrl_agent(cfg: Any) -> Any:
    import gymnasium
    from skrl.agents.torch.ppo import PPO
    from skrl.envs.wrappers.torch import wrap_env
    from skrl.memories.torch import RandomMemory
    from test_skrl import ROLLOUT, Discrete, Value

    env = wrap_env(gymnasium.make("CartPole-v1"), verbose=False)
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    models = {"policy": Discrete(env), "value": Value(env)}
    return PPO(models=models, memory=RandomMemory(memory_size=ROLLOUT, device="cpu"), device="cpu", cfg=cfg, **spaces)


@pytest.mark.parametrize("section", NEEDS)
def test_every_block_runs(section: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS[section])
    page = blocks()
    assert set(page) == set(NEEDS)
    assert page[section]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the frameworks'; each one's own test says which
        names = given(section, tmp_path)
        for block in page[section]:
            exec(compile(block, f"README.md: {section}", "exec"), names)
