"""An agent without randomness, for the tests of how an update is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.agents import Agent, AgentSettings, GradientStep, VectorEnv

Script = Callable[[int, Tensor, list[Tensor]], Iterator[GradientStep]]


class Scripted(Agent):
    """Pulls the first arm; what it makes of the reward is up to the script ``(iteration, reward, parameters)``."""

    def __init__(self, script: Script, world: VectorEnv, seeds: Sequence[int]) -> None:
        self._script = script
        start = torch.stack([torch.linspace(seed + 1, seed + 2, 6, dtype=torch.float64) for seed in seeds])
        weights, biases = start.split((4, 2), dim=1)
        self.parameters = [weights.reshape(-1, 2, 2).clone().requires_grad_(), biases.clone().requires_grad_()]
        self.count = 0

    def gradient_steps(self, world: VectorEnv) -> Iterator[GradientStep]:
        while True:
            reward = world.step(torch.zeros(world.num_runs, world.num_envs, dtype=torch.int64)).reward.mean(1)
            self.count += 1
            yield from self._script(self.count, reward, self.parameters)

    def state_dict(self) -> dict[str, Any]:
        return {"parameters": [p.detach().clone() for p in self.parameters], "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for parameter, saved in zip(self.parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        self.count = state["count"]


@dataclass(frozen=True, kw_only=True)
class ScriptedSettings(AgentSettings):
    script: Script

    def make(self, world: VectorEnv, seeds: Sequence[int]) -> Scripted:
        return Scripted(self.script, world, seeds)


def square(parameters: list[Tensor]) -> Tensor:
    """A loss a run, shape (runs,), whose gradient grows with the parameters."""
    return sum((p.square().flatten(1).sum(1) for p in parameters), torch.zeros(()))
