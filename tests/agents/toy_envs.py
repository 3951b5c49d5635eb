"""A small batched CartPole and a point that wants to be at rest, to try agents on without Gymnasium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rasched.envs import BatchedEnv, EnvSettings, StepResult
from rasched.rng import RandomStreams


class EpisodicEnv(BatchedEnv):
    """Episodes with a time limit, restarted within the step."""

    dtype = torch.float32
    inputs: int
    limit: int

    def __init__(self, seeds: Sequence[int], num_envs: int) -> None:
        self.num_runs, self.num_envs = len(seeds), num_envs
        self.observation_shape = (self.inputs,)
        self._starts = RandomStreams(seeds, "env/start")
        self._time = torch.zeros(self.num_runs, num_envs)
        self.observation = self._start()

    def _start(self) -> Tensor:
        raise NotImplementedError

    def _move(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raise NotImplementedError

    def step(self, action: Tensor) -> StepResult:
        final, reward, terminated = self._move(action)
        self._time = self._time + 1
        truncated = (self._time >= self.limit) & ~terminated
        done = terminated | truncated
        self._time = torch.where(done, 0, self._time)
        self.observation = torch.where(done.unsqueeze(2), self._start(), final)
        return StepResult(reward, terminated, truncated, {}, final_observation=final)

    def state_dict(self) -> dict[str, Any]:
        return {"observation": self.observation, "time": self._time, "starts": self._starts.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        self.observation, self._time = state["observation"], state["time"]
        self._starts.load_state_dict(state["starts"])


class CartPole(EpisodicEnv):
    """The pole of Barto, Sutton & Anderson (1983), as Gymnasium has it; 500 steps at most."""

    inputs, limit = 4, 500
    num_actions: int | None = 2
    action_shape = ()

    def _start(self) -> Tensor:
        return (self._starts.uniform(self.num_envs, 4) * 0.1 - 0.05).float()

    def _move(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, v, angle, turn = self.observation.unbind(-1)
        force = action.float() * 20 - 10
        push = (force + 0.05 * turn**2 * angle.sin()) / 1.1
        turning = (9.8 * angle.sin() - angle.cos() * push) / (0.5 * (4 / 3 - 0.1 * angle.cos() ** 2 / 1.1))
        pushing = push - 0.05 * turning * angle.cos() / 1.1
        new = torch.stack([x + 0.02 * v, v + 0.02 * pushing, angle + 0.02 * turn, turn + 0.02 * turning], -1)
        fallen = (new[..., 0].abs() > 2.4) | (new[..., 2].abs() > 0.2095)
        return new, torch.ones_like(x), fallen


class Point(EpisodicEnv):
    """A point on a plane, pushed by a force within [-1, 1]; the nearer to the origin, the better. 40 steps."""

    inputs, limit = 4, 40
    num_actions: int | None = None
    action_shape = (2,)
    action_low, action_high = torch.full((2,), -1.0), torch.full((2,), 1.0)

    def _start(self) -> Tensor:
        position = (self._starts.uniform(self.num_envs, 2) * 2 - 1).float()
        return torch.cat([position, torch.zeros_like(position)], -1)

    def _move(self, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        assert (action.abs() <= 1).all()
        position, speed = self.observation[..., :2], self.observation[..., 2:]
        speed = 0.8 * speed + 0.1 * action
        position = position + speed
        reward = -(position * position).sum(-1)
        return torch.cat([position, speed], -1), reward, torch.zeros_like(reward, dtype=torch.bool)


@dataclass(frozen=True, kw_only=True)
class CartPoleSettings(EnvSettings):
    num_envs: int = 8

    def make(self, seeds: Sequence[int]) -> BatchedEnv:
        return CartPole(seeds, self.num_envs)


@dataclass(frozen=True, kw_only=True)
class PointSettings(EnvSettings):
    num_envs: int = 8

    def make(self, seeds: Sequence[int]) -> BatchedEnv:
        return Point(seeds, self.num_envs)
